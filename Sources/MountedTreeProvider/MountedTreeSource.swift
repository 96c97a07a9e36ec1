public import FrozenImage
public import ImageReader
public import LogicalRepresentation
import SystemPackage
public import VolumeLayers

/// Answers a backup host's questions about a frozen tree of a mounted ext2/3/4 or XFS.
///
/// The mapping from files to the file system's device does not change while the image
/// is frozen; what may move is the device's own place in the layers below. So an answer
/// brings the stack's present map, and names the files that are no longer what was
/// frozen. Their bytes can never be had again, and reading one fails with the reason,
/// while all others stay readable.
///
/// It holds the directory open, so the file system stays mounted while it lives.
public final class MountedTreeSource: ProductionHost, Sendable {
  private let tree: MountedTree
  private let files: FrozenFiles
  private let watch: StackWatch

  /// Looks again this often before it gives up.
  private static let attempts = 5

  /// - Parameters:
  ///   - stack: finds what the tree's device lies on at the moment, with the tree's
  ///     identity and witness, and whether what the kernel tells of it is still so.
  ///   - representation: opens what was described of the image. It is called once, when
  ///     it is first needed to tell whether a file is still as frozen.
  /// - Throws: `SourceError.unreachable` when the file system is not mounted,
  ///   `SourceError.thawed` when the tree is not what was frozen.
  public convenience init(
    _ image: MountedTreeImage, stack: @escaping @Sendable (MountedTree) throws -> FoundStack,
    representation: @escaping @Sendable () throws -> Representation
  ) throws(SourceError) {
    self.init(try MountedTree(image), stack: stack, representation: representation)
  }

  private init(
    _ tree: MountedTree, stack: @escaping @Sendable (MountedTree) throws -> FoundStack,
    representation: @escaping @Sendable () throws -> Representation
  ) {
    self.tree = tree
    files = FrozenFiles(of: tree, representation)
    watch = StackWatch(isCurrent: { $0.isSoHere() }, { try stack(tree) })
  }

  /// Proves that what the whole tree was frozen by still holds.
  ///
  /// - Throws: `SourceError.thawed` when it does not.
  public func liveCheck() throws(SourceError) {
    try tree.liveCheck()
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    // A first check keeps bytes of a file that was changed long ago from being read at
    // all; the one after the read is the proof.
    try requireFrozen(inode)
    let count: Int
    do {
      count = try files.read(inode: inode, offset: offset, into: buffer)
    } catch {
      try requireFrozen(inode)
      throw .failed("cannot read inode \(inode) of \(tree.image.path): \(error)")
    }
    try requireFrozen(inode)
    return count
  }

  private func requireFrozen(_ inode: UInt64) throws(SourceError) {
    try liveCheck()
    if let reason = files.difference(of: inode, in: [], on: nil) { throw .failed(reason) }
  }

  /// The files of these portions that are not, or are not known to be, what was frozen:
  /// all of each, in ascending order.
  ///
  /// - Throws: `SourceError` when that cannot be told.
  func validate(_ portions: [Portion]) throws(SourceError) -> [Range<FileKey>] {
    guard let look = try look() else { throw restless }
    return differing(portions, on: look.stack.top)
  }

  private func differing(_ portions: [Portion], on layer: Layer) -> [Range<FileKey>] {
    var ranges: [UInt64: [Range<UInt64>]] = [:]
    for portion in portions { ranges[portion.inode, default: []].append(portion.range) }
    return ranges.keys.sorted().filter {
      files.difference(of: $0, in: ranges[$0] ?? [], on: layer) != nil
    }.map { FileKey(inode: $0, offset: 0)..<FileKey(inode: $0, offset: .max) }
  }

  private func look() throws(SourceError) -> StackWatch.Look? {
    do {
      return try watch.look()
    } catch {
      throw .failed("\(error)")
    }
  }

  private var restless: SourceError {
    .unreachable("what \(tree.device) lies on keeps changing")
  }
}

// MARK: One answer

extension MountedTreeSource {
  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    for _ in 0..<Self.attempts {
      try liveCheck()
      guard let look = try look() else { continue }
      // With a witness, the live check speaks for every file.
      let asked = tree.validation == .question ? question.validating : []
      let changed = differing(asked + question.portions, on: look.stack.top)
      do {
        let answer = MappingAnswer(
          state: MappingState(configurationID: look.configurationID, cursor: look.stack.cursor),
          changes: .ranges(changed), volume: try volume(for: question, look),
          behind: try look.behind(question, knowing: media(of: question.known)),
          located: try locate(question.portions, among: changed))
        guard try watch.isPresent(look) else { continue }
        try liveCheck()
        return answer
      } catch let error as SourceError {
        throw error
      } catch {
        throw .failed("\(error)")
      }
    }
    throw restless
  }

  /// Where everything lies below the device, unless it is where it was.
  private func volume(
    for question: MappingQuestion, _ look: StackWatch.Look
  ) throws -> MappingAnswer.Volume? {
    try watch.volume(of: look, since: question.known)
  }

  /// The media as the backup host knows them.
  private func media(of state: MappingState) throws -> [MediumDescription]? {
    if let known = watch.media(of: state.configurationID) { return known }
    // What was frozen, before this source was there.
    let volumes = try files.representation().volumes
    return volumes.first { $0.state.configurationID == state.configurationID }?.media
  }

  private func locate(
    _ portions: [Portion], among changed: [Range<FileKey>]
  ) throws -> [MappingAnswer.Located] {
    var located: [MappingAnswer.Located] = []
    var extents = 0
    // Portions that are left out are asked for again.
    for portion in portions where extents < MappingAnswer.maximumExtents {
      guard let found = try locate(portion, among: changed) else { continue }
      extents += found.extents.count
      located.append(found)
    }
    return located
  }

  /// A portion's extents are those that were described. Those of a file that was changed
  /// lie nowhere: whoever reads it is told so.
  private func locate(
    _ portion: Portion, among changed: [Range<FileKey>]
  ) throws -> MappingAnswer.Located? {
    guard !portion.range.isEmpty else { return nil }
    let extents: [FileExtent]
    if changed.contains(where: { $0.overlaps(portion.keys) }) {
      extents = [
        FileExtent(
          offset: portion.range.lowerBound,
          length: portion.range.upperBound - portion.range.lowerBound, source: .encoded)
      ]
    } else {
      let representation = try files.representation()
      guard let node = try representation.node(withInode: portion.inode, inRoot: 0) else {
        return nil
      }
      extents = try representation.extents(of: node, in: portion.range)
    }
    return MappingAnswer.Located(
      keys: portion.keys,
      extents: extents.map { MappingAnswer.Extent(inode: portion.inode, extent: $0) })
  }
}
