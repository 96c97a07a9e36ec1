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

/// What of an image could not be read when it was frozen.
struct UnreadableList {
  /// All of them.
  var count: UInt64
  /// The first of them, in the order of their inode numbers.
  var parts: [UnreadableReport] = []

  /// Lines that people are shown.
  static let shownLines = 20
  /// Most parts that a report lists one by one.
  static let listLimit = 1000

  /// - Parameters:
  ///   - limit: parts that are looked up.
  ///   - room: bytes that their texts may have together.
  init(of representation: Representation, limit: Int, room: Int = .max) {
    count = representation.unreadableCount
    var paths = UnreadablePaths(of: representation)
    var rest = room
    for index in 0..<min(count, UInt64(limit)) {
      guard let part = try? representation.unreadablePart(at: index) else { continue }
      let report = UnreadableReport(
        path: (try? paths.path(of: part)).flatMap { $0 }.map {
          VisibleText.line(PathText.text(of: $0))
        },
        inode: (try? representation.inode(of: part.node)) ?? 0, part: part.part.reportName,
        reason: VisibleText.line(part.reason))
      rest -= (report.path?.utf8.count ?? 0) + report.reason.utf8.count
      guard rest >= 0 else { return }
      parts.append(report)
    }
  }

  /// A line for each of the first parts, and one that counts the others.
  var lines: [String] {
    let shown = parts.prefix(Self.shownLines)
    let others = count - UInt64(shown.count)
    return shown.map(\.text)
      + (others > 0 ? ["\(others) more, which floe inspect --json lists"] : [])
  }
}

extension UnreadablePart {
  fileprivate var reportName: String {
    switch self {
    case .node: "node"
    case .content: "content"
    case .extendedAttributes: "extended_attributes"
    }
  }
}
