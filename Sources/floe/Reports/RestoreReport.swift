import FrozenImage
import HostSystem
import Restoring

/// What `floe restore` tells; the JSON form's keys are part of floe's interface.
struct RestoreReport: Encodable {
  /// Something that is not there as it is in the image.
  struct Failure: Encodable {
    /// Below the destination, without a slash before it.
    var path: String
    /// See `ErrorCode`.
    var code: String
    var reason: String
  }

  var image: String
  var image_id: String
  var destination: String
  /// Regular files that were written.
  var files: UInt64
  /// Bytes that were written; holes are not.
  var bytes: UInt64
  /// Regular files that were there already as a whole.
  var skipped: UInt64
  var directories: UInt64
  /// Further names of files that have several.
  var hard_links: UInt64
  /// Symbolic links, devices, FIFOs and sockets.
  var others: UInt64
  var failure_count: UInt64
  /// The first of them.
  var failures: [Failure]
  /// Entries that belong to another user than in the image, as only root may give them away.
  var owners_not_kept: UInt64
  /// Properties of the source's file system that the destination does not know.
  var properties_not_kept: UInt64

  init(_ image: ImageDescription, to destination: String, _ findings: RestoreFindings) {
    self.image = image.name
    image_id = image.id.description
    self.destination = HostPath.absolute(destination)
    files = findings.files
    bytes = findings.bytes
    skipped = findings.skipped
    directories = findings.directories
    hard_links = findings.hardLinks
    others = findings.others
    failure_count = findings.failureCount
    failures = findings.failures.map {
      Failure(path: $0.path, code: ErrorCode(of: $0.error).rawValue, reason: "\($0.error)")
    }.sorted { $0.path < $1.path }
    owners_not_kept = findings.ownersNotKept
    properties_not_kept = findings.propertiesNotKept
  }

  /// The report for people.
  var text: String {
    var lines = [
      "image             \(image) (\(image_id))",
      "restored          \(files) files, \(bytes) bytes, into \(destination)",
      "besides           \(directories) directories, \(hard_links) further names of files, "
        + "\(others) links, devices, FIFOs and sockets",
    ]
    if skipped > 0 { lines.append("there already     \(skipped) files") }
    if owners_not_kept > 0 {
      lines.append("owners not kept   \(owners_not_kept), as only root may give files away")
    }
    if properties_not_kept > 0 {
      lines.append(
        "not kept          \(properties_not_kept) properties that this file system does not know")
    }
    if failure_count > 0 { lines.append("NOT restored      \(failure_count)") }
    lines += failures.map { "  \($0.path.isEmpty ? destination : $0.path): \($0.reason)" }
    let unlisted = failure_count - UInt64(failures.count)
    if unlisted > 0 { lines.append("  \(unlisted) more") }
    return VisibleText.page(lines)
  }
}
