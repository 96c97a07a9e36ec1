import FrozenImage
import HostSystem
import LogicalRepresentation

/// A part of an image that could not be read when it was frozen; the JSON form's keys are
/// part of floe's interface.
struct UnreadableReport: Codable {
  /// Below the top of the image; bytes that are no printable text as `\xNN`. Absent when no
  /// entry leads to the inode.
  var path: String?
  var inode: UInt64
  /// "node" (nothing but its name is known), "content" or "extended_attributes".
  var part: String
  var reason: String

  init(_ entry: UnreadableList.Entry) {
    path = entry.path.map { VisibleText.line(PathText.text(of: $0)) }
    inode = entry.inode
    part =
      switch entry.part {
      case .node: "node"
      case .content: "content"
      case .extendedAttributes: "extended_attributes"
      }
    reason = VisibleText.line(entry.reason)
  }

  /// A line for people.
  var text: String {
    let what =
      switch part {
      case "node": ""
      case "content": "its content: "
      default: "its extended attributes: "
      }
    return "\(path ?? "inode \(inode)"): \(what)\(reason)"
  }
}

extension UnreadableList {
  /// Lines that people are shown.
  static let shownLines = 20

  /// The first parts, as they are reported.
  ///
  /// - Parameter room: bytes that their texts may have together.
  func reports(room: Int = .max) -> [UnreadableReport] {
    var rest = room
    var reports: [UnreadableReport] = []
    for report in entries.lazy.map(UnreadableReport.init) {
      rest -= (report.path?.utf8.count ?? 0) + report.reason.utf8.count
      guard rest >= 0 else { break }
      reports.append(report)
    }
    return reports
  }

  /// A line for each of the first parts, and one that counts the others.
  var lines: [String] {
    let shown = entries.prefix(Self.shownLines)
    let others = count - UInt64(shown.count)
    return shown.map { UnreadableReport($0).text }
      + (others > 0 ? ["\(others) more, which floe inspect --json lists"] : [])
  }
}
