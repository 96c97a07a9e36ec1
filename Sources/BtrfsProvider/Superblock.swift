import FrozenImage

/// The fields of a btrfs superblock that are the identity and the witness of a
/// medium. The layout is `struct btrfs_super_block` (fs/btrfs/ctree.h; since
/// Linux 6.3 linux/btrfs_tree.h), little-endian; the primary copy lies at 64 KiB.
///
/// The block's checksum, `flags` and `log_root` are no part of the witness: an
/// fsync rewrites them in the middle of a transaction without moving anything.
/// All fields that count lie in the first 512 bytes, so no read tears them.
struct Superblock: Hashable {
  /// Bytes from the start of the medium.
  static let offset: UInt64 = 65536
  /// Bytes of the superblock.
  static let length = 4096

  private enum Field {
    static let fileSystem = (offset: 0x20, length: 16)
    static let flags = 0x38
    static let magic = (offset: 0x40, length: 8)
    static let generation = 0x48
    /// magic, generation, root, chunk_root: 8 bytes each.
    static let roots = (offset: 0x40, length: 32)
    static let root = 0x50
    static let chunkRoot = 0x58
    static let chunkRootGeneration = 0xA4
    /// dev_item.devid
    static let device = (offset: 0xC9, length: 8)
    /// dev_item.uuid
    static let deviceUUID = (offset: 0xC9 + 66, length: 16)
    /// dev_item.fsid
    static let deviceOwner = (offset: 0xC9 + 82, length: 16)
  }

  /// `BTRFS_SUPER_FLAG_SEEDING` (linux/btrfs_tree.h).
  private static let seeding: UInt64 = 1 << 32

  static let magicBytes = Array("_BHRfS_M".utf8)

  /// The witness fragments, one after the other.
  let witness: [UInt8]
  let identity: [UInt8]
  let generation: UInt64
  /// Where the root of the root tree lies, which was written in `generation`.
  let root: UInt64
  /// Where the root of the chunk tree lies.
  let chunkRoot: UInt64
  /// The transaction in which the chunk tree (chunks and devices) changed last.
  let chunkRootGeneration: UInt64
  /// Whether the device is a seed: another volume's, which may be mounted for reading
  /// only, and which this one was grown from.
  let isSeed: Bool
  /// The volume that the device's own item says it belongs to.
  let owner: [UInt8]

  /// - Parameter window: the bytes at `offset`; `nil` when they are no superblock.
  init?(_ window: UnsafeRawBufferPointer) {
    guard let magic = window.run(at: Field.magic.offset, count: Field.magic.length),
      magic.elementsEqual(Self.magicBytes),
      let witness = Self.witnessProbe?.windows.first?.extract(from: window),
      let identity = Self.identityProbe?.windows.first?.extract(from: window),
      let generation: UInt64 = window.number(at: Field.generation),
      let root: UInt64 = window.number(at: Field.root),
      let chunkRoot: UInt64 = window.number(at: Field.chunkRoot),
      let chunkRootGeneration: UInt64 = window.number(at: Field.chunkRootGeneration),
      let flags: UInt64 = window.number(at: Field.flags),
      let owner = window.run(at: Field.deviceOwner.offset, count: Field.deviceOwner.length)
    else { return nil }
    self.witness = witness
    self.identity = identity
    self.generation = generation
    self.root = root
    self.chunkRoot = chunkRoot
    self.chunkRootGeneration = chunkRootGeneration
    isSeed = flags & Self.seeding != 0
    self.owner = Array(owner)
  }

  /// Where a medium's witness lies. It names the device, so that another device of
  /// the same volume in its place shows, although that has the same generation.
  static let witnessProbe = Probe(
    offset: offset, length: length,
    fragments: [Field.fileSystem, Field.roots, Field.device, Field.deviceUUID]
      .map(Probe.Fragment.init(offset:length:)))

  /// Where a medium's identity lies.
  static let identityProbe = Probe(
    offset: offset, length: length,
    fragments: [Field.fileSystem, Field.magic, Field.device, Field.deviceUUID]
      .map(Probe.Fragment.init(offset:length:)))

  /// What the identity fragments of a device must hold.
  static func identity(
    fileSystem: UniqueIdentifier, device: UInt64, uuid: UniqueIdentifier
  ) -> [UInt8] {
    let number = (0..<8).map { UInt8(truncatingIfNeeded: device >> (8 * UInt64($0))) }
    return fileSystem.bytes + magicBytes + number + uuid.bytes
  }

  /// Whether this is the superblock of a device that a volume's chunk tree names.
  ///
  /// - Parameter fileSystem: the volume. A seed's superblock names the seed's own, which
  ///   is what the device's item in the chunk tree of the sprout names as well.
  func isOf(_ device: ChunkTree.Device, in fileSystem: UniqueIdentifier) -> Bool {
    let identity = { Self.identity(fileSystem: $0, device: device.number, uuid: device.uuid) }
    if self.identity == identity(fileSystem) { return true }
    return isSeed && owner == device.owner.bytes
      && self.identity.dropFirst(Field.fileSystem.length).elementsEqual(
        identity(device.owner).dropFirst(Field.fileSystem.length))
  }

  private static let deviceLength = Field.device.length + Field.deviceUUID.length

  /// The part of witness bytes that names the device.
  static func device(ofWitness bytes: [UInt8]) -> ArraySlice<UInt8> {
    bytes.suffix(deviceLength)
  }

  /// The generation that witness bytes show; `nil` when they are not a witness of
  /// this file system.
  static func generation(ofWitness bytes: [UInt8], fileSystem: UniqueIdentifier) -> UInt64? {
    let length = Field.fileSystem.length + Field.roots.length + deviceLength
    guard bytes.count == length, bytes.starts(with: fileSystem.bytes),
      bytes[Field.fileSystem.length...].starts(with: magicBytes)
    else { return nil }
    let start = Field.fileSystem.length + Field.generation - Field.roots.offset
    return bytes.withUnsafeBytes { $0.number(at: start) }
  }
}
