import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import ImageAccess

struct Diff: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Tell what changed between two images; no data is read, no mount is needed.",
    discussion: """
      A line for each entry that is not the same: + added, - removed, M changed, and what of it: \
      content (its bytes may be others), permissions, time, attributes, unreadable. A file's \
      content is taken to be the same only when its inode number, birth time, size, modification \
      and change time are.
      """)

  @Argument(help: "The older image: \(SourceHelp.text)")
  var old: String

  @Argument(help: "The newer image.")
  var new: String

  @Option(help: ArgumentHelp("Compare only what is below this path.", valueName: "PATH"))
  var path = ""

  @Flag(help: "Only what is to be copied: files that were added or may have other content.")
  var content = false

  @OptionGroup var listing: ListingOptions

  var json: Bool { listing.json }

  func run() throws {
    let (first, second) = try listing.open(old, and: new)
    defer {
      first.close()
      second.close()
    }
    let difference = ImageDifference(
      from: first.representation,
      at: try first.representation.node(at: path, below: first.root(.tree).node),
      to: second.representation,
      at: try second.representation.node(at: path, below: second.root(.tree).node))
    var output = LineOutput()
    var reports = 0
    var isComplete = true
    try difference.forEach(failed: { path, error in
      isComplete = false
      printError("floe: \(path.isEmpty ? "/" : PathText.text(of: path)): \(error)")
    }) { entry in
      guard !content || entry.hasContentToCopy else { return }
      if json {
        try output.write((reports == 0 ? "[\n" : ",\n") + JSON.text(of: DifferenceReport(entry)))
        reports += 1
      } else if listing.null {
        // What was removed is nothing that a tool could copy.
        if entry.change != .removed { try output.write(path: entry.path) }
      } else {
        try output.write(VisibleText.line(DifferenceReport(entry).line) + "\n")
      }
    }
    if json { try output.write(reports == 0 ? "[]\n" : "\n]\n") }
    try output.end()
    if !isComplete { throw SilentExit(status: EXIT_FAILURE) }
  }
}

/// An entry that differs, as `floe diff` tells it; the JSON form's keys are part of floe's
/// interface.
struct DifferenceReport: Encodable {
  /// "added", "removed" or "changed".
  var change: String
  /// From the image's top down, without a slash before it; "." for the top itself.
  var path: String
  /// As `floe list --json` says it.
  var type: String
  /// Of what changed: "content", "permissions", "time", "attributes", "unreadable".
  var aspects: [String]?

  init(_ entry: ImageDifference.Entry) {
    path = entry.path.isEmpty ? "." : PathText.text(of: entry.path)
    type = entry.type.word
    switch entry.change {
    case .added: change = "added"
    case .removed: change = "removed"
    case .changed(let found):
      change = "changed"
      aspects = found.map(\.rawValue)
    }
  }

  /// A line as `zfs diff` begins it.
  var line: String {
    let letter = ["added": "+", "removed": "-"][change] ?? "M"
    return "\(letter) \(path)" + (aspects.map { "  (\($0.joined(separator: ", ")))" } ?? "")
  }
}

extension ImageDifference.Entry {
  /// Whether a copy of the older image lacks bytes of it, or an entry.
  fileprivate var hasContentToCopy: Bool {
    switch change {
    case .added: true
    case .removed: false
    case .changed(let aspects): aspects.contains(.content) || aspects.contains(.unreadable)
    }
  }
}
