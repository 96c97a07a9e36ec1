import FrozenImage

// `struct mdp_superblock_1` (include/uapi/linux/raid/md_p.h), little-endian.

extension MDSuperblock {
  /// Bits of `feature_map` (`MD_FEATURE_…`).
  private enum Feature {
    static let recoveryOffset: UInt32 = 2
    static let reshape: UInt32 = 4
    /// The member's list of bad blocks is not empty.
    static let badBlocks: UInt32 = 8
    static let replacement: UInt32 = 16
    static let reshapeBackwards: UInt32 = 32
    static let newOffset: UInt32 = 64
    static let clusteredBitmap: UInt32 = 256
    static let journal: UInt32 = 512
    static let partialParityLog: UInt32 = 1024
    static let partialParityLogs: UInt32 = 2048
    /// With those that change nothing for who reads: a bitmap (1, 128), raid0's layout (4096).
    static let all: UInt32 = 8191
  }

  /// Entries of `dev_roles` from this one on are no places: spare, faulty, journal.
  private static let noPlace: UInt16 = 0xFF00
  private static let rolesOffset = 256

  /// - Parameters:
  ///   - place: bytes from the start of the layer.
  ///   - size: bytes of the layer.
  /// - Returns: `nil` when there is none, or its checksum or a size is wrong.
  static func version1(
    _ fields: UnsafeRawBufferPointer, at place: UInt64, of size: UInt64
  ) -> MDSuperblock? {
    guard fields.number(at: 0) == magic, fields.number(at: 4) == UInt32(1),
      fields.number(at: 144) == place / sector, let roles = roles(fields), isWhole(fields),
      let features: UInt32 = fields.number(at: 8), let level: Int32 = fields.number(at: 72),
      let layout: UInt32 = fields.number(at: 76), let used = bytes(fields, at: 80),
      let chunk: UInt32 = fields.number(at: 88), let members: UInt32 = fields.number(at: 92),
      let dataOffset = bytes(fields, at: 128), let dataSize = bytes(fields, at: 136),
      let number: UInt32 = fields.number(at: 160), let flags: UInt8 = fields.number(at: 184),
      let events: UInt64 = fields.number(at: 200), let resync: UInt64 = fields.number(at: 208),
      let uuid = fields.run(at: 16, count: 16), let name = fields.run(at: 32, count: 32),
      dataOffset <= size, dataSize <= size - dataOffset, members <= roles.count
    else { return nil }
    let role = Int(exactly: number).flatMap { roles.indices.contains($0) ? roles[$0] : nil }
    let isMember = role.map { $0 < members } ?? false && features & Feature.replacement == 0
    let seen = Set(roles)
    return MDSuperblock(
      array: Array(uuid), name: String(decoding: name.prefix { $0 != 0 }, as: UTF8.self),
      level: Int(level), layout: layout, chunkSectors: chunk, members: Int(members),
      place: isMember ? role.map { Int($0) } : nil, dataOffset: dataOffset, dataSize: dataSize,
      usedSize: used,
      state: RaidMemberState(
        events: events,
        failed: Set((0..<Int(members)).filter { !seen.contains(UInt16($0)) }),
        isRecovered: features & Feature.recoveryOffset == 0, isSynced: resync == .max,
        isWriteMostly: flags & 1 != 0, hasBadBlocks: features & Feature.badBlocks != 0),
      obstacle: obstacle(features), offset: place, isVersion0: false,
      // Magic, the array's UUID and name, the member's own UUID.
      identity: [
        Probe.Fragment(offset: 0, length: 8), Probe.Fragment(offset: 16, length: 48),
        Probe.Fragment(offset: 168, length: 16),
      ])
  }

  private static func obstacle(_ features: UInt32) -> String? {
    if features & (Feature.reshape | Feature.reshapeBackwards | Feature.newOffset) != 0 {
      return "is being reshaped"
    }
    if features & Feature.journal != 0 { return "has a journal, which may hold the newest data" }
    if features & (Feature.partialParityLog | Feature.partialParityLogs) != 0 {
      return "has a partial parity log"
    }
    if features & Feature.clusteredBitmap != 0 { return "belongs to a cluster" }
    let unknown = features & ~Feature.all
    return unknown == 0 ? nil : "has features that floe does not know (\(unknown))"
  }

  /// A number of sectors, in bytes.
  private static func bytes(_ fields: UnsafeRawBufferPointer, at offset: Int) -> UInt64? {
    guard let sectors: UInt64 = fields.number(at: offset), sectors < 1 << 54 else { return nil }
    return sectors * sector
  }

  private static func roles(_ fields: UnsafeRawBufferPointer) -> [UInt16]? {
    guard let count: UInt32 = fields.number(at: 220),
      Int(count) <= (fields.count - rolesOffset) / 2
    else { return nil }
    return (0..<Int(count)).map { fields.number(at: rolesOffset + $0 * 2) ?? noPlace }
  }

  /// Whether the checksum is right (`calc_sb_1_csum`, drivers/md/md.c).
  private static func isWhole(_ fields: UnsafeRawBufferPointer) -> Bool {
    guard let count: UInt32 = fields.number(at: 220), let stored: UInt32 = fields.number(at: 216)
    else { return false }
    let length = rolesOffset + Int(count) * 2
    var sum: UInt64 = 0
    for offset in stride(from: 0, to: length - 3, by: 4) where offset != 216 {
      let word: UInt32 = fields.number(at: offset) ?? 0
      sum += UInt64(word)
    }
    if length % 4 == 2 {
      let rest: UInt16 = fields.number(at: length - 2) ?? 0
      sum += UInt64(rest)
    }
    return UInt32(truncatingIfNeeded: sum & 0xFFFF_FFFF &+ sum >> 32) == stored
  }
}
