public import BtrfsProvider
import DataSets
import FrozenImage
import HostSystem
public import ImageService
import LogicalRepresentation

/// A btrfs subvolume.
struct BtrfsDataSet: DataSet {
  private let freezer: BtrfsFreezer
  private let path: String

  init(path: String) throws {
    freezer = try BtrfsFreezer(path: path, barrier: WriterBarrier())
    notes = try freezer.notes()
    self.path = path
  }

  let notes: [String]

  var explanation: [String] {
    get throws { try freezer.explanation() }
  }

  var leavesSomething: Bool { freezer.makesSnapshot }

  let needsService = false

  func plan(for image: UniqueIdentifier) -> any ImageNote {
    BtrfsNote(
      fileSystemID: freezer.fileSystemID, plannedSnapshot: freezer.plannedSnapshotPath(for: image),
      image: nil)
  }

  func freeze(as image: UniqueIdentifier) throws -> any ImageNote {
    BtrfsNote(
      fileSystemID: freezer.fileSystemID, plannedSnapshot: freezer.plannedSnapshotPath(for: image),
      image: try freezer.freeze(as: image))
  }

  func describe(
    _ frozen: any ImageNote, _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    guard let image = (frozen as? BtrfsNote)?.image else { throw Failure("nothing was frozen") }
    return try BtrfsFreezer.describe(
      image, as: label.id, name: label.name, host: label.host, source: label.source,
      service: label.service, scratch: scratch, progress: progress)
  }
}

/// What the catalogue keeps of a btrfs image, for whoever has to find it again:
/// where the snapshot will be, before it is made, and what it is afterwards.
struct BtrfsNote: ImageNote {
  static let provider = "btrfs"

  /// The UUID of the file system that is frozen.
  var fileSystemID: String
  var plannedSnapshot: String?
  var image: BtrfsImage?

  var snapshot: String? { image?.snapshotPath }

  func release() throws {
    if let image {
      try BtrfsFreezer.thaw(image)
    } else if let plannedSnapshot {
      try BtrfsFreezer.thaw(snapshotAt: plannedSnapshot, onFileSystem: fileSystemID)
    }
  }

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ServedImage {
    guard let image else { throw Failure("the record of image \(name) names no snapshot") }
    return try BtrfsSource(image, representation: representation)
  }
}

extension BtrfsSource: ServedImage {}
