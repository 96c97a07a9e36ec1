import FrozenImage
import ImageService
import Providers

/// What the catalogue keeps of a btrfs image, for whoever has to find it again:
/// where the snapshot will be, before it is made, and what it is afterwards.
struct BtrfsNote: Codable {
  static let provider = "btrfs"

  /// The UUID of the file system that is frozen.
  var fileSystemID: String
  var plannedSnapshot: String?
  var image: BtrfsImage?

  init(fileSystemID: String, plannedSnapshot: String?, image: BtrfsImage?) {
    self.fileSystemID = fileSystemID
    self.plannedSnapshot = plannedSnapshot
    self.image = image
  }

  /// - Throws: `Failure` when the record is of another provider or is torn.
  init(of record: ImageRecord) throws {
    guard record.provider == Self.provider,
      let note = JSON.report(Self.self, from: record.providerData.utf8)
    else { throw Failure("the record of image \(record.name) cannot be read by this floe") }
    self = note
  }

  var text: String { JSON.text(of: self) }

  /// Removes what the freeze made on the volume; what is gone already is no error.
  func release() throws {
    if let image {
      try BtrfsFreezer.thaw(image)
    } else if let plannedSnapshot {
      try BtrfsFreezer.thaw(snapshotAt: plannedSnapshot, onFileSystem: fileSystemID)
    }
  }
}
