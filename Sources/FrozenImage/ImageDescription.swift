/// What an image is, for people and for `statfs`.
public struct ImageDescription: Hashable, Sendable {
  /// What the image is known by everywhere.
  public let id: UniqueIdentifier
  /// A label for people.
  public let name: String
  /// When it was described; it was frozen before.
  public let created: Timestamp
  /// Seconds before `created`, rounded up, in which the freeze began; 0 where the data were at
  /// rest before, since a time that nobody knows.
  public let freezeLead: UInt32
  /// The kind of volume stack that made it ("btrfs").
  public let provider: String
  /// The production host's name.
  public let host: String
  /// What was frozen, as the production host names it: for people only.
  public let source: String
  /// Where a service answers for the image, as `floe mount` takes it; empty when none
  /// does. A backup host that has the representation as a file asks there.
  public let service: String
  /// What `statvfs` tells of a mount of the image, inodes aside.
  public let statistics: FileSystemStatistics

  public init(
    id: UniqueIdentifier, name: String, created: Timestamp, provider: String, host: String,
    source: String, service: String = "", statistics: FileSystemStatistics,
    freezeLead: UInt32 = 0
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.provider = provider
    self.host = host
    self.source = source
    self.service = service
    self.statistics = statistics
    self.freezeLead = freezeLead
  }
}

/// What `statvfs` told of the source when it was frozen.
public struct FileSystemStatistics: Hashable, Sendable {
  /// Bytes of the units in which blocks are counted.
  public let blockSize: UInt32
  /// Units of `blockSize` bytes (`f_blocks`).
  public let blocks: UInt64
  /// Units of `blockSize` bytes (`f_bfree`).
  public let freeBlocks: UInt64
  /// Free blocks that an unprivileged user may have.
  public let availableBlocks: UInt64
  /// Inodes, free ones too (`f_files`); 0 where the source has no table of them.
  public let files: UInt64
  /// Free inodes (`f_ffree`).
  public let freeFiles: UInt64
  /// Bytes.
  public let maximumNameLength: UInt32

  public init(
    blockSize: UInt32, blocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64, files: UInt64,
    freeFiles: UInt64, maximumNameLength: UInt32
  ) {
    self.blockSize = blockSize
    self.blocks = blocks
    self.freeBlocks = freeBlocks
    self.availableBlocks = availableBlocks
    self.files = files
    self.freeFiles = freeFiles
    self.maximumNameLength = maximumNameLength
  }
}

/// How the source checks its file data.
public enum ChecksumAlgorithm: UInt16, Hashable, Sendable {
  /// CRC-32C as `CRC32C.checksum` gives it, stored little-endian.
  case crc32c = 1
  /// XXH64 with seed 0 of xxHash, stored little-endian.
  case xxhash64 = 2
  /// SHA-256 (FIPS 180-4).
  case sha256 = 3
  /// BLAKE2b with a digest of 32 bytes and no key (RFC 7693).
  case blake2b = 4

  /// Bytes of one checksum.
  public var width: Int {
    switch self {
    case .crc32c: 4
    case .xxhash64: 8
    case .sha256, .blake2b: 32
    }
  }
}

/// What proves, after the data was read, that a volume's mapping still held.
public enum Validation: UInt16, Hashable, Sendable {
  /// The witness on the media: it changes before any region is written anew.
  case witness = 0
  /// Only the production host: the stack has no witness that is ordered with its moves.
  case question = 1
}

/// A volume that holds data of the image: its stores and media, and the state of
/// the mapping that the representation was written under.
public struct VolumeDescription: Equatable, Sendable {
  /// The volume's own identifier (for btrfs the file system's UUID).
  public let id: UniqueIdentifier
  /// The volume's own label, often empty.
  public let label: String
  /// The state of the mapping that the representation was written under.
  public let state: MappingState
  /// The chain from the stores to the media under `state`.
  public let map: StoreMap
  /// What the volume lay on under `state`, one for each medium of `map`.
  public let media: [MediumDescription]
  /// What proves to a reader that its mapping held.
  public let validation: Validation
  /// `nil` when the volume has no data checksums.
  public let checksum: ChecksumAlgorithm?
  /// Bytes of file data that one checksum covers; 0 without checksums.
  public let checksumBlockSize: UInt32
  /// How its layers are found again from the media; `nil` where the media alone do not tell.
  public let trail: StorageTrail?

  public init(
    id: UniqueIdentifier, label: String, state: MappingState, map: StoreMap,
    media: [MediumDescription], validation: Validation = .witness,
    checksum: ChecksumAlgorithm?, checksumBlockSize: UInt32, trail: StorageTrail? = nil
  ) {
    self.id = id
    self.label = label
    self.state = state
    self.map = map
    self.media = media
    self.validation = validation
    self.checksum = checksum
    self.checksumBlockSize = checksumBlockSize
    self.trail = trail
  }
}

/// A file tree of the image.
public struct Root: Hashable, Sendable {
  /// What a tree shows.
  public enum View: UInt32, Hashable, Sendable {
    /// The files of the image.
    case tree = 0
    /// The image's volume as one raw file.
    case volume = 1
  }

  /// A label for people.
  public let name: String
  /// Which of the image's volumes holds the tree's data.
  public let volume: Int
  /// What a mount of the tree shows (`--view`).
  public let view: View
  /// The tree's top directory.
  public let node: NodeIndex
  /// The tree's own nodes, in ascending order of inode number.
  package let nodes: Range<UInt64>
  /// The empty directories that stand where other trees are nested: after `nodes`.
  package let placeholders: Range<UInt64>

  package init(
    name: String, volume: Int, view: View, node: NodeIndex, nodes: Range<UInt64>,
    placeholders: Range<UInt64>
  ) {
    self.name = name
    self.volume = volume
    self.view = view
    self.node = node
    self.nodes = nodes
    self.placeholders = placeholders
  }

  /// How many nodes the tree has.
  public var nodeCount: UInt64 { placeholders.upperBound - nodes.lowerBound }

  /// Whether a node is one of the tree.
  public func holds(_ node: NodeIndex) -> Bool {
    (nodes.lowerBound..<placeholders.upperBound).contains(node.rawValue)
  }
}
