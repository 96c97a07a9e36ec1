package import DataSets
import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation

/// Subvolumes of btrfs, by their directories.
package enum BtrfsSubvolumes: DataSetProvider {
  package static var record: any ProviderRecord.Type { BtrfsRecord.self }

  package static func find(_ named: NamedData, _ options: SearchOptions) throws -> (any DataSet)? {
    guard named.kind == .directory, named.selectors.isEmpty,
      BtrfsFreezer.isBtrfs(at: named.path)
    else { return nil }
    return try BtrfsDataSet(path: named.path)
  }
}

/// A btrfs subvolume.
private struct BtrfsDataSet: DataSet {
  private let freezer: BtrfsFreezer

  init(path: String) throws {
    freezer = try BtrfsFreezer(path: path, barrier: WriterBarrier())
    remarks = try freezer.notes()
  }

  let remarks: [String]

  var explanation: [String] {
    get throws { try freezer.explanation() }
  }

  var leavesSomething: Bool { freezer.makesSnapshot }

  let needsService = false

  func plan(for image: UniqueIdentifier) -> any ProviderRecord {
    record(of: nil, for: image)
  }

  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet {
    let frozen = try freezer.freeze(as: image)
    return FrozenBtrfs(image: frozen, record: record(of: frozen, for: image))
  }

  private func record(of frozen: BtrfsImage?, for image: UniqueIdentifier) -> BtrfsRecord {
    BtrfsRecord(
      fileSystemID: freezer.fileSystemID, plannedSnapshot: freezer.plannedSnapshotPath(for: image),
      image: frozen)
  }
}

/// A btrfs subvolume that was frozen.
private struct FrozenBtrfs: FrozenDataSet {
  let image: BtrfsImage
  let record: any ProviderRecord

  func describe(
    _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    try BtrfsFreezer.describe(
      image, as: label.id, name: label.name, host: label.host, source: label.source,
      service: label.service, scratch: scratch, progress: progress)
  }
}

/// What the catalogue keeps of a btrfs image, for whoever has to find it again:
/// where the snapshot will be, before it is made, and what it is afterwards.
private struct BtrfsRecord: ProviderRecord {
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
  ) throws -> any ProductionHost {
    guard let image else {
      throw Failure(.malformed, "the record of image \(name) names no snapshot")
    }
    return try BtrfsSource(image, representation: representation)
  }
}
