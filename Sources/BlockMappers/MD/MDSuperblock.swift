import DataSets
import FrozenImage
import VolumeLayers

/// What a member of an md array tells of the array, and of itself; the two formats that
/// there are differ in how (`MDSuperblock+Version1.swift`, `MDSuperblock+Version0.swift`).
struct MDSuperblock: Hashable, Sendable {
  /// The array's UUID, 16 bytes.
  let array: [UInt8]
  /// What people know the array by; empty where nobody named it.
  let name: String
  /// md's number of the level.
  let level: Int
  let layout: UInt32
  /// Sectors of 512 bytes.
  let chunkSectors: UInt32
  /// Members that the array has when none is missing.
  let members: Int
  /// The member's place; `nil` for a spare, and for one that is no longer used.
  let place: Int?
  /// Bytes from the start of the layer to the member's data.
  let dataOffset: UInt64
  /// Bytes of the member that the array may use.
  let dataSize: UInt64
  /// Bytes that an array with copies or parity uses of each member.
  let usedSize: UInt64
  let state: RaidMemberState
  /// Why the array cannot be mapped whatever its state; `nil` when it can.
  let obstacle: String?
  /// Bytes from the start of the layer to the superblock.
  let offset: UInt64
  let isVersion0: Bool
  /// Bytes of the superblock that never change while it is the same member's, from its start.
  let identity: [Probe.Fragment]

  static let sector: UInt64 = 512
  static let magic: UInt32 = 0xA92B_4EFC
  /// Bytes of the superblock that are watched: the first sector, which has what is counted.
  static let watched = 512

  /// The superblock of a member, wherever its format keeps it: of several of one array, which
  /// a change of the format leaves, the newest.
  ///
  /// - Returns: `nil` when the layer is no member of an array.
  /// - Throws: `StackError` when the layer cannot be read, or when it has superblocks of two
  ///   arrays: nothing tells which of them was left over.
  static func find(on layer: Layer) throws(StackError) -> MDSuperblock? {
    let found = try all(on: layer)
    guard let newest = found.max(by: { $0.state.events < $1.state.events }) else { return nil }
    guard let other = found.first(where: { $0.array != newest.array }) else { return newest }
    throw StackError(
      .malformed,
      "\(layer.title) has superblocks of two md arrays, \(newest.arrayText) and "
        + "\(other.arrayText), and nothing tells which of them it belongs to")
  }

  /// The array's UUID, as mdadm writes it.
  var arrayText: String {
    let words = stride(from: 0, to: array.count, by: 4).map { start in
      array[start..<start + 4].map { byte in
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }.joined()
    }
    return words.joined(separator: ":")
  }

  /// Those at all places that the formats have.
  private static func all(on layer: Layer) throws(StackError) -> [MDSuperblock] {
    var found: [MDSuperblock] = []
    let sectors = layer.size / sector
    // 1.2 at 4 KiB, 1.1 at the start, 1.0 near the end; 0.90 too, but elsewhere.
    var places: [UInt64] = [4096, 0]
    if sectors > 16 { places.append((sectors - 16) / 8 * 8 * sector) }
    for place in places {
      guard layer.size >= 4096, place <= layer.size - 4096 else { continue }
      let bytes = try layer.bytes(at: place, count: 4096)
      if let one = bytes.withUnsafeBytes({ version1($0, at: place, of: layer.size) }) {
        found.append(one)
      }
    }
    guard sectors >= 256 else { return found }
    let place = (sectors / 128 - 1) * 128 * sector
    let bytes = try layer.bytes(at: place, count: 4096)
    if let one = bytes.withUnsafeBytes({ version0($0, at: place) }) { found.append(one) }
    return found
  }

  /// The windows of the superblock in a layer.
  ///
  /// - Parameter layer: the layer's index in a map.
  func identity(as layer: Int) -> ProbeWindow {
    let end = identity.map { $0.offset + $0.length }.max() ?? 0
    return ProbeWindow(layer: layer, offset: offset, length: end, fragments: identity)
  }

  func witness(as layer: Int) -> ProbeWindow {
    ProbeWindow(layer: layer, offset: offset, length: Self.watched)
  }
}
