package import DataSets
import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import StackProvider
import VolumeLayers

/// Directories of mounted file systems that are known by their names and blocks alone.
package enum MountedTrees: DataSetProvider {
  package static var record: any ProviderRecord.Type { MountedRecord.self }

  package static func find(_ named: NamedData, _ options: SearchOptions) throws -> (any DataSet)? {
    guard named.kind == .directory, named.selectors.isEmpty else { return nil }
    return try MountedDataSet(path: named.path, assumesFrozen: options.assumesFrozen)
  }
}

/// A directory of a mounted ext2/3/4 or XFS that is frozen: read-only, promised to rest,
/// or copied by reflinks when it is frozen.
private struct MountedDataSet: DataSet {
  private enum Way {
    case asItIs(MountedTree)
    case reflinkCopy(ReflinkFreezer)
  }

  private let way: Way

  /// - Throws: `StackError` that says what the user may do when the directory may change.
  init(path: String, assumesFrozen: Bool) throws {
    do {
      way = .asItIs(try MountedTree(path: path, assumeFrozen: assumesFrozen))
    } catch {
      // A file system that is written to can still be frozen where files can share
      // blocks; where they cannot, the first reason is the one that helps.
      guard !assumesFrozen, let freezer = try? ReflinkFreezer(path: path) else { throw error }
      way = .reflinkCopy(freezer)
    }
  }

  var remarks: [String] {
    switch way {
    case .asItIs(let tree): tree.notes
    case .reflinkCopy: [ReflinkFreezer.consistency]
    }
  }

  var explanation: [String] {
    get throws {
      switch way {
      case .asItIs(let tree):
        return [
          "directory \(tree.image.path) of the mounted \(tree.image.fileSystem) \(tree.fileSystemID)"
        ]
          + (try Self.stack(of: tree).explanation)
      case .reflinkCopy(let freezer):
        return [
          "a reflink copy of the directory is made at \(freezer.plannedCopyPath(for: .random()))"
        ]
      }
    }
  }

  var leavesSomething: Bool {
    if case .reflinkCopy = way { true } else { false }
  }

  var needsService: Bool {
    switch way {
    case .asItIs(let tree): tree.validation == .question
    case .reflinkCopy: true
    }
  }

  func plan(for image: UniqueIdentifier) -> any ProviderRecord {
    switch way {
    case .asItIs(let tree): MountedRecord(tree: tree.image)
    case .reflinkCopy(let freezer):
      MountedRecord(
        planned: MountedRecord.Planned(
          path: freezer.plannedCopyPath(for: image), fileSystemID: freezer.fileSystem))
    }
  }

  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet {
    switch way {
    case .asItIs(let tree): return FrozenTree(tree: tree, record: MountedRecord(tree: tree.image))
    case .reflinkCopy(let freezer):
      let copy = try freezer.freeze(as: image, progress: { _ in })
      let tree = try MountedTree(copy: copy)
      return FrozenTree(tree: tree, record: MountedRecord(tree: tree.image, copy: copy))
    }
  }

  /// What the tree's device lies on.
  static func stack(of tree: MountedTree) throws -> Stack { try found(of: tree).stack }

  /// What the tree's device lies on, and whether what the kernel tells of it is still so.
  static func found(of tree: MountedTree) throws -> FoundStack {
    try StackFinder.found(onDevice: tree.device) { try stack(of: tree, on: $0) }
  }

  private static func stack(of tree: MountedTree, on layer: Layer) throws -> Stack {
    // Its chunks move while the tree is described, and what its witness shows then is not
    // what it showed when they were found.
    guard !layer.isLive else {
      throw StackError(
        .unsupported,
        "\(tree.image.path) is mounted from a snapshot of LVM2, the \(layer.title): freeze that "
          + "itself, by its name or its device")
    }
    return try Stack(top: layer, identity: tree.identity, witness: tree.witness)
  }
}

/// A tree of a mounted file system that is frozen, or a copy of it that was made.
private struct FrozenTree: FrozenDataSet {
  let tree: MountedTree
  let record: any ProviderRecord

  func describe(
    _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    try tree.describe(
      label, on: MountedDataSet.stack(of: tree), scratch: scratch, progress: progress)
  }
}

/// What the catalogue keeps of an image of a mounted tree.
private struct MountedRecord: ProviderRecord {
  static let provider = "mounted"

  /// A reflink copy before it is made.
  struct Planned: Codable {
    var path: String
    /// The UUID of the file system.
    var fileSystemID: String
  }

  var tree: MountedTreeImage?
  var planned: Planned?
  var copy: ReflinkImage?

  var snapshot: String? { copy?.path }

  func release() throws {
    if let copy {
      try ReflinkFreezer.thaw(copy)
    } else if let planned {
      try ReflinkFreezer.thaw(copyAt: planned.path, onFileSystem: planned.fileSystemID)
    }
  }

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ProductionHost {
    guard let tree else {
      throw Failure(.malformed, "the record of image \(name) names no directory")
    }
    return try MountedTreeSource(
      tree, stack: { try MountedDataSet.found(of: $0) }, representation: representation)
  }
}
