import FrozenImage
import ImageAccess
import ImageFixtures
import ImageReader
import LogicalRepresentation
import Testing

/// A frozen image of `FileTree`, and what answers for it.
struct HostUnderTest: Sendable {
  let host: any ProductionHost
  let representation: Representation
  /// Where the media lie.
  let media: [MediumID: String]
  /// Makes the image something else than what was frozen.
  let thaw: @Sendable () throws -> Void
  /// Whether it looks at the media that the reader has open: what they show is what the reader
  /// found, now or a moment ago.
  var hasMediaOfReader = false
  /// Whether the storage moved since the freeze, so that the media do not show the state that
  /// the representation tells of.
  var hasMoved = false
  /// Goes last.
  let keeping: any Sendable

  var state: MappingState { representation.volumes[0].state }

  /// A file's inode number.
  func inode(of path: String) throws -> UInt64 {
    try representation.inode(
      of: representation.node(at: path, below: representation.roots[0].node))
  }

  /// What a backup host asks that sees every medium as the known state shows it.
  func question(
    since state: MappingState? = nil, _ portions: [Portion] = []
  ) -> MappingQuestion {
    let known = state ?? self.state
    return MappingQuestion(known: known, found: known.configurationID, portions: portions)
  }
}

/// What implements `ProductionHost`: each has to keep the rules of
/// `ProductionHostConformance`. A new one is one more line of `all`.
struct Implementation: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let isPossible: Bool
  /// Freezes an image. Blocks.
  let make: @Sendable () throws -> HostUnderTest

  static let all = [
    Implementation("a volume stack", ExtDisk.isPossible, StackImage.onItsHost(StackImage.ext4)),
    Implementation(
      "a volume stack's own storage", ExtDisk.isPossible, StackImage.onItsStorage(StackImage.ext4)),
    Implementation(
      "a volume stack and its storage", ExtDisk.isPossible, StackImage.onBoth(StackImage.ext4)),
    Implementation(
      "a thick snapshot", SnapshotDisk.isPossible, StackImage.onItsHost(StackImage.snapshot)),
    Implementation(
      "a thick snapshot's own storage", SnapshotDisk.isPossible,
      StackImage.onItsStorage(StackImage.snapshot)),
    Implementation(
      "a thick snapshot and its storage", SnapshotDisk.isPossible,
      StackImage.onBoth(StackImage.snapshot)),
    Implementation("btrfs", BtrfsDisk.isPossible, BtrfsDisk.make),
    Implementation(
      "a volume stack, over the wire", ExtDisk.isPossible,
      overTheWire(StackImage.onItsHost(StackImage.ext4))),
    Implementation("btrfs, over the wire", BtrfsDisk.isPossible, overTheWire(BtrfsDisk.make)),
  ].filter(\.isPossible)

  private init(
    _ name: String, _ isPossible: Bool, _ make: @escaping @Sendable () throws -> HostUnderTest
  ) {
    testDescription = name
    self.isPossible = isPossible
    self.make = make
  }
}
