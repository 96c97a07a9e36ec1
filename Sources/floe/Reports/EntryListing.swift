import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import LogicalRepresentation

/// An entry of an image, as `floe list` and `floe find` tell it; the JSON form's keys are part
/// of floe's interface.
struct EntryReport: Encodable {
  /// From the image's top down, without a slash before it.
  var path: String
  /// "file", "directory", "symbolic_link", "block_device", "character_device", "fifo", "socket".
  var type: String
  /// The rest is absent for an entry of which nothing could be read.
  var inode: UInt64?
  /// The permissions, with the special bits.
  var mode: UInt32?
  var links: UInt32?
  var owner: UInt32?
  var group: UInt32?
  var size: UInt64?
  var modified_seconds: Int64?
  var modified_nanoseconds: UInt32?
  /// Where a symbolic link leads.
  var target: String?

  init(_ entry: TreeWalk.Entry, in representation: Representation) {
    path = PathText.text(of: entry.path)
    type = entry.type.word
    if entry.type == .symbolicLink {
      target = (try? representation.symbolicLinkTarget(of: entry.node)).map {
        PathText.text(of: $0)
      }
    }
    guard let attributes = try? representation.attributes(of: entry.node) else { return }
    inode = attributes.inode
    mode = attributes.mode & 0o7777
    links = attributes.links
    owner = attributes.owner
    group = attributes.group
    size = attributes.size
    modified_seconds = attributes.modified.seconds
    modified_nanoseconds = attributes.modified.nanoseconds
  }

  /// A line as `ls -ln` prints it.
  var line: String {
    let end = path + (target.map { " -> \($0)" } ?? "")
    guard let mode, let links, let owner, let group, let size, let modified_seconds else {
      return "??????????  \(end)"
    }
    let numbers = [("\(links)", 3), ("\(owner)", 5), ("\(group)", 5), ("\(size)", 12)]
    let columns = numbers.map { text, width in
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    let time = TimeText.local(modified_seconds)
    return "\(letters(mode)) \(columns.joined(separator: " ")) \(time) \(end)"
  }

  private func letters(_ mode: UInt32) -> String {
    let kinds = [
      "file": "-", "directory": "d", "symbolic_link": "l", "block_device": "b",
      "character_device": "c", "fifo": "p", "socket": "s",
    ]
    var letters = Array("rwxrwxrwx").enumerated().map { index, letter in
      mode & (1 << UInt32(8 - index)) != 0 ? letter : "-"
    }
    let special: [(bit: UInt32, at: Int, letter: String)] = [
      (0o4000, 2, "s"), (0o2000, 5, "s"), (0o1000, 8, "t"),
    ]
    for (bit, place, letter) in special where mode & bit != 0 {
      letters[place] = Character(letters[place] == "x" ? letter : letter.uppercased())
    }
    return (kinds[type] ?? "?") + String(letters)
  }
}

extension FileType {
  /// The word of the JSON form.
  var word: String {
    switch self {
    case .regular: "file"
    case .directory: "directory"
    case .symbolicLink: "symbolic_link"
    case .blockDevice: "block_device"
    case .characterDevice: "character_device"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }
}

/// Prints entries one after the other, however many there are.
struct EntryListing: ~Copyable {
  /// How an entry is printed.
  enum Form {
    /// The path, a line each, as a terminal may get it.
    case paths
    /// The path's own bytes, with "./" before and a zero byte behind each.
    case bytes
    case long
    case json
  }

  private let form: Form
  private let representation: Representation
  private var output = LineOutput()
  private var isFirst = true

  init(_ form: Form, of representation: Representation) {
    self.form = form
    self.representation = representation
  }

  mutating func show(_ entry: TreeWalk.Entry) throws(SilentExit) {
    switch form {
    case .paths: try output.write(VisibleText.line(PathText.text(of: entry.path)) + "\n")
    case .bytes: try output.write(path: entry.path)
    case .long:
      try output.write(VisibleText.line(EntryReport(entry, in: representation).line) + "\n")
    case .json:
      try output.write(
        (isFirst ? "[\n" : ",\n") + JSON.text(of: EntryReport(entry, in: representation)))
    }
    isFirst = false
  }

  mutating func end() throws(SilentExit) {
    if form == .json { try output.write(isFirst ? "[]\n" : "\n]\n") }
    try output.end()
  }
}
