import FrozenImage

// `mdp_super_t`, the format 0.90 (include/uapi/linux/raid/md_p.h): words of 32 bits in the
// byte order of the host that wrote them, of which floe reads little-endian ones.

extension MDSuperblock {
  /// Places of words.
  private enum Word {
    static let version = 1
    static let minorVersion = 2
    static let level = 7
    /// Of each member, KiB.
    static let size = 8
    static let members = 10
    static let state = 33
    static let checksum = 38
    static let events = 39
    static let layout = 64
    /// Bytes.
    static let chunk = 65
    /// 27 descriptors of 32 words.
    static let disks = 128
    static let thisDisk = 992
    static let count = 1024
  }

  /// Bits of a descriptor's state (`MD_DISK_…`).
  private enum Disk {
    static let words = 32
    static let maximum = 27
    static let faulty: UInt32 = 1 << 0
    static let active: UInt32 = 1 << 1
    static let sync: UInt32 = 1 << 2
    static let removed: UInt32 = 1 << 3
    static let writeMostly: UInt32 = 1 << 9
  }

  /// Bit of the array's state: it was stopped, or rests, and no resync is to be done.
  private static let clean: UInt32 = 1

  /// - Parameter place: bytes from the start of the layer, where the data end.
  /// - Returns: `nil` when there is none, or its checksum is wrong.
  static func version0(
    _ fields: UnsafeRawBufferPointer, at place: UInt64
  ) -> MDSuperblock? {
    let words: [UInt32] = (0..<Word.count).compactMap { fields.number(at: $0 * 4) }
    guard words.count == Word.count, words[0] == magic, words[Word.version] == 0,
      words[Word.minorVersion] >= 90, isWhole(words)
    else { return nil }
    let members = Int(words[Word.members])
    let own = Array(words[Word.thisDisk..<Word.thisDisk + Disk.words])
    let minor = words[Word.minorVersion]
    guard members <= Disk.maximum else { return nil }
    let inUse = Disk.active | Disk.sync
    let current = Set(
      (0..<Disk.maximum).compactMap { index -> Int? in
        let start = Word.disks + index * Disk.words
        let state = words[start + 4]
        guard state & (Disk.faulty | Disk.removed) == 0, state & inUse == inUse else { return nil }
        return Int(words[start + 3])
      })
    let role = Int(own[3])
    let isMember =
      own[4] & (Disk.faulty | Disk.removed) == 0 && own[4] & inUse == inUse && role < members
    return MDSuperblock(
      array: [5, 13, 14, 15].flatMap { word in
        (0..<4).map { UInt8(truncatingIfNeeded: words[word] >> (24 - $0 * 8)) }
      },
      name: "", level: Int(Int32(bitPattern: words[Word.level])), layout: words[Word.layout],
      chunkSectors: words[Word.chunk] / UInt32(sector), members: members,
      place: isMember ? role : nil, dataOffset: 0, dataSize: place,
      usedSize: UInt64(words[Word.size]) * 1024,
      state: RaidMemberState(
        events: UInt64(words[Word.events + 1]) << 32 | UInt64(words[Word.events]),
        failed: Set((0..<members).filter { !current.contains($0) }),
        isRecovered: true,
        isSynced: words[Word.state] & clean != 0,
        isWriteMostly: own[4] & Disk.writeMostly != 0),
      obstacle: minor > 90 ? "is being reshaped" : nil, offset: place, isVersion0: true,
      // Magic and version, the array's UUID; the member has none of its own but its number.
      identity: [
        Probe.Fragment(offset: 0, length: 8), Probe.Fragment(offset: 20, length: 4),
        Probe.Fragment(offset: 52, length: 12),
        Probe.Fragment(offset: Word.thisDisk * 4, length: 4),
      ])
  }

  /// Whether the checksum is right (`calc_sb_csum`, drivers/md/md.c).
  private static func isWhole(_ words: [UInt32]) -> Bool {
    var sum: UInt64 = 0
    for (index, word) in words.enumerated() where index != Word.checksum { sum += UInt64(word) }
    return UInt32(truncatingIfNeeded: sum & 0xFFFF_FFFF &+ sum >> 32) == words[Word.checksum]
  }
}
