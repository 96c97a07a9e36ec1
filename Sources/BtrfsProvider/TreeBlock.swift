import Decoding
import FrozenImage

/// A block of a tree as it lies on a medium (`struct btrfs_header`, `btrfs_key_ptr`,
/// `btrfs_item`: fs/btrfs/ctree.h, since Linux 6.3 linux/btrfs_tree.h): little-endian. Any
/// bytes may come in.
struct TreeBlock {
  private enum Field {
    static let address = 0x30
    static let generation = 0x50
    static let itemCount = 0x60
    static let level = 0x64
    /// In a pointer to a block below, after its key.
    static let childAddress = 17
    static let childGeneration = 25
    /// In a leaf's item, after its key.
    static let payloadOffset = 17
    static let payloadLength = 21
  }

  private static let checksumLength = 32
  private static let pointerLength = 33
  private static let itemLength = 25
  /// Bytes of the header; its first 32 are the checksum of the rest of the block.
  static let headerLength = 0x65
  /// The kernel's `BTRFS_MAX_LEVEL`: a tree has fewer levels.
  static let maximumLevel = 8

  /// Where a block lies, and the transaction in which it was written: as whoever points to
  /// it says.
  struct Pointer: Hashable {
    let address: UInt64
    let generation: UInt64
  }

  let level: Int
  private let count: Int
  private let bytes: [UInt8]

  /// `nil` when the bytes are not the block that the pointer means.
  init?(_ bytes: [UInt8], at pointer: Pointer) {
    let fields = bytes.withUnsafeBytes { bytes -> (level: UInt8, count: UInt32)? in
      guard bytes.number(at: Field.address) == pointer.address,
        bytes.number(at: Field.generation) == pointer.generation,
        let level: UInt8 = bytes.number(at: Field.level),
        let count: UInt32 = bytes.number(at: Field.itemCount)
      else { return nil }
      return (level, count)
    }
    guard let fields, fields.level < Self.maximumLevel, Int(fields.count) <= bytes.count else {
      return nil
    }
    level = Int(fields.level)
    count = Int(fields.count)
    self.bytes = bytes
  }

  var header: [UInt8] { Array(bytes.prefix(Self.headerLength)) }

  /// Whether a block has the checksum that it begins with, which covers the rest of it.
  static func isIntact(_ bytes: [UInt8], _ algorithm: ChecksumAlgorithm) -> Bool {
    bytes.withUnsafeBytes { bytes in
      guard bytes.count > headerLength else { return false }
      return algorithm.matches(
        UnsafeRawBufferPointer(rebasing: bytes[checksumLength...]), stored: bytes, at: 0)
    }
  }

  /// A pointer to a block below, the first key that it may hold, and the first that it may
  /// not, where this block tells.
  struct Child {
    let pointer: Pointer
    let first: TreeKey
    let next: TreeKey?
  }

  /// The block below in which a key lies, if it is in the tree; `nil` in a leaf, and when
  /// the block is malformed.
  func child(holding key: TreeKey) -> Child? {
    guard level > 0, count > 0 else { return nil }
    return bytes.withUnsafeBytes { bytes in
      var found: (place: Int, first: TreeKey)?
      var next: TreeKey?
      for index in 0..<count {
        let place = Self.headerLength + index * Self.pointerLength
        guard let first = Self.key(in: bytes, at: place) else { return nil }
        if found != nil, first > key {
          next = first
          break
        }
        found = (place, first)
      }
      guard let found,
        let address: UInt64 = bytes.number(at: found.place + Field.childAddress),
        let generation: UInt64 = bytes.number(at: found.place + Field.childGeneration)
      else { return nil }
      return Child(
        pointer: Pointer(address: address, generation: generation), first: found.first, next: next)
    }
  }

  /// The bytes of a leaf's item; `nil` when it does not have the key.
  func payload(of key: TreeKey) -> [UInt8]? {
    guard level == 0 else { return nil }
    return bytes.withUnsafeBytes { bytes in
      for index in 0..<count {
        let place = Self.headerLength + index * Self.itemLength
        guard let found = Self.key(in: bytes, at: place) else { return nil }
        guard found == key else { continue }
        guard let offset: UInt32 = bytes.number(at: place + Field.payloadOffset),
          let length: UInt32 = bytes.number(at: place + Field.payloadLength)
        else { return nil }
        return bytes.run(at: Self.headerLength + Int(offset), count: Int(length)).map(Array.init)
      }
      return nil
    }
  }

  private static func key(in bytes: UnsafeRawBufferPointer, at place: Int) -> TreeKey? {
    guard let object: UInt64 = bytes.number(at: place),
      let type: UInt8 = bytes.number(at: place + 8),
      let offset: UInt64 = bytes.number(at: place + 9)
    else { return nil }
    return TreeKey(object: object, type: type, offset: offset)
  }
}
