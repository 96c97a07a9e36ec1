import FrozenImage

@testable import BlockMappers
@testable import VolumeLayers

/// A member of an md array, with the superblock that md writes (include/uapi/linux/raid/md_p.h
/// in the kernel's sources).
struct WrittenMember {
  enum Format: String, CaseIterable {
    case version0 = "0.90"
    case atTheEnd = "1.0"
    case atTheStart = "1.1"
    case behindTheStart = "1.2"
  }

  var format: Format
  var place: Int
  var roles: [UInt16]
  var level: Int32 = 1
  var layout: UInt32 = 0
  var chunkSectors: UInt32 = 0
  var events: UInt64 = 17
  var features: UInt32 = 0
  var resync: UInt64 = .max
  var flags: UInt8 = 0
  var array: UInt8 = 0xA5
  /// Bytes that the array has of each member.
  var usedSize = dataSize
  /// Bytes of all of it.
  var wholeSize = size
  /// What a new array's members hold.
  static let dataSize = 128 << 10

  static let size = 512 << 10

  /// Members of an array, each of which has all others in its roles.
  static func all(
    _ count: Int, _ format: Format = .behindTheStart, level: Int32 = 1, layout: UInt32 = 0,
    chunkSectors: UInt32 = 0, change: (inout WrittenMember) -> Void = { _ in }
  ) -> [WrittenMember] {
    (0..<count).map { place in
      var member = WrittenMember(
        format: format, place: place, roles: (0..<UInt16(count)).map { $0 }, level: level,
        layout: layout, chunkSectors: chunkSectors)
      change(&member)
      return member
    }
  }

  var dataOffset: Int {
    switch format {
    case .version0, .atTheEnd: 0
    case .atTheStart, .behindTheStart: 64 << 10
    }
  }

  /// Where its superblock lies.
  var superblockOffset: Int { offset }

  private var offset: Int {
    switch format {
    case .version0: wholeSize / (64 << 10) * (64 << 10) - (64 << 10)
    case .atTheEnd: wholeSize - 8192
    case .atTheStart: 0
    case .behindTheStart: 4096
    }
  }

  /// The whole member: each 8 bytes of its data tell the member and their place in its data.
  var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    let words = (0..<UInt64(Self.size - dataOffset - (64 << 10)) / 8).map {
      UInt64(place + 1) << 56 | $0 * 8
    }
    words.withUnsafeBytes {
      bytes.replaceSubrange(dataOffset..<dataOffset + $0.count, with: $0)
    }
    let superblock = superblock
    bytes.replaceSubrange(offset..<offset + superblock.count, with: superblock)
    return bytes
  }

  var superblock: [UInt8] { format == .version0 ? version0 : version1 }

  private func put<T: FixedWidthInteger>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) {
      bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
    }
  }

  private var version1: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    put(UInt32(0xA92B_4EFC), at: 0, in: &bytes)
    put(UInt32(1), at: 4, in: &bytes)
    put(features, at: 8, in: &bytes)
    for index in 16..<32 { bytes[index] = array }
    bytes.replaceSubrange(32..<38, with: Array("here:0".utf8))
    put(level, at: 72, in: &bytes)
    put(layout, at: 76, in: &bytes)
    put(UInt64(usedSize / 512), at: 80, in: &bytes)
    put(chunkSectors, at: 88, in: &bytes)
    put(UInt32(roles.count), at: 92, in: &bytes)
    put(UInt64(dataOffset / 512), at: 128, in: &bytes)
    put(UInt64(usedSize / 512), at: 136, in: &bytes)
    put(UInt64(offset / 512), at: 144, in: &bytes)
    put(UInt32(place), at: 160, in: &bytes)
    for index in 168..<184 { bytes[index] = UInt8(place + 1) }
    bytes[184] = flags
    put(events, at: 200, in: &bytes)
    put(resync, at: 208, in: &bytes)
    put(UInt32(128), at: 220, in: &bytes)
    for index in 0..<128 {
      put(index < roles.count ? roles[index] : 0xFFFF, at: 256 + index * 2, in: &bytes)
    }
    return sealed(bytes)
  }

  /// With the checksum of a superblock of version 1 made right.
  func sealed(_ superblock: [UInt8]) -> [UInt8] {
    var bytes = superblock
    put(UInt32(0), at: 216, in: &bytes)
    var sum: UInt64 = 0
    for word in words(of: Array(bytes[..<512])) { sum += UInt64(word) }
    put(UInt32(truncatingIfNeeded: sum + sum >> 32), at: 216, in: &bytes)
    return bytes
  }

  private var version0: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    func put(_ value: UInt32, _ word: Int) { self.put(value, at: word * 4, in: &bytes) }
    put(0xA92B_4EFC, 0)
    put(90, 2)
    for word in [5, 13, 14, 15] { put(UInt32(array) * 0x0101_0101, word) }
    put(UInt32(bitPattern: level), 7)
    put(UInt32(usedSize / 1024), 8)
    put(UInt32(roles.count), 10)
    put(resync == .max ? 1 : 0, 33)
    put(UInt32(truncatingIfNeeded: events), 39)
    put(UInt32(truncatingIfNeeded: events >> 32), 40)
    put(layout, 64)
    put(chunkSectors * 512, 65)
    for (index, role) in roles.enumerated() {
      let state: UInt32 = role == UInt16(index) ? 0b110 : 1
      for (word, value) in [UInt32(index), 8, 16, UInt32(index), state].enumerated() {
        put(value, 128 + index * 32 + word)
        if index == place { put(value, 992 + word) }
      }
    }
    if flags & 1 != 0 { put(0b10_0000_0110, 992 + 4) }
    var sum: UInt64 = 0
    for word in words(of: bytes) { sum += UInt64(word) }
    put(UInt32(truncatingIfNeeded: sum + sum >> 32), 38)
    return bytes
  }

  private func words(of bytes: [UInt8]) -> [UInt32] {
    stride(from: 0, to: bytes.count, by: 4).map { start in
      bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
  }
}

extension [WrittenMember] {
  var layers: [Layer] {
    map { Layer(MemoryMedium(path: "member \($0.place)", bytes: $0.bytes)) }
  }

  func array() throws -> Layer {
    let members = try layers.compactMap { try MDMember.find(on: $0) }
    guard let array = try MDArray(members) else {
      throw CommandError(description: "there is no member")
    }
    return Layer(try array.map())
  }

  /// Bytes that a new array holds, by where its elements lie.
  ///
  /// - Parameter places: member and row of each element, one after the other.
  func bytes(of places: [(member: Int, row: Int)], element: Int) -> [UInt8] {
    places.flatMap { place -> ArraySlice<UInt8> in
      let start = self[place.member].dataOffset + place.row * element
      return self[place.member].bytes[start..<start + element]
    }
  }
}
