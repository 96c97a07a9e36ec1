import HostSystem
import ImageAccess

extension VerificationManifest {
  /// The report for people.
  var text: String {
    var lines = [
      "image             \(image) (\(image_id))",
      "read              \(files) files, \(bytes) bytes",
      "data checksums    \(data_checksums)",
      "configuration IDs \(configuration_ids_crossed) crossed, \(remaps) remaps, "
        + "\(reads_thrown_away) reads thrown away",
      "damaged copies    \(mismatch_count)",
      "unreadable files  \(unreadable_count)",
    ]
    let unlisted = mismatch_count - mismatches.count + unreadable_count - unreadable.count
    if unlisted > 0 { lines.append("not listed        \(unlisted) more of these") }
    lines += mismatches.map { "  \($0.path) at \($0.offset): \($0.reason)" }
    lines += unreadable.map { "  \($0.path): \($0.reason)" }
    return VisibleText.page(lines)
  }
}
