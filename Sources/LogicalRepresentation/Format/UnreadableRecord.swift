/// A part of a node that could not be read when the image was frozen, and why.
///
/// Records ascend by node, then by part; no two are of the same part of a node.
struct UnreadableRecord: Record {
  static let size = 40
  static let noun = "unreadable part"

  var node: UInt64
  /// The directory with an entry that leads to the node; `Format.none` when there is none.
  var directory: UInt64
  /// That entry's record; `Format.none` when there is none.
  var entry: UInt64
  /// Of the reason, in the heap.
  var reasonOffset: UInt64
  /// Bytes, 1 through `RepresentationLimits.reason`.
  var reasonLength: UInt32
  /// An `UnreadablePart`'s value.
  var part: UInt8

  init(node: UInt64, part: UnreadablePart, reasonOffset: UInt64, reasonLength: UInt32) {
    self.node = node
    directory = Format.none
    entry = Format.none
    self.reasonOffset = reasonOffset
    self.reasonLength = reasonLength
    self.part = part.rawValue
  }

  init(_ fields: inout FieldReader) {
    node = fields.next()
    directory = fields.next()
    entry = fields.next()
    reasonOffset = fields.next()
    reasonLength = fields.next()
    part = fields.next()
    fields.skip(3)
  }

  func write(to fields: inout FieldWriter) {
    for value in [node, directory, entry, reasonOffset] { fields.put(value) }
    fields.put(reasonLength)
    fields.put(part)
    fields.put([0, 0, 0])
  }
}

/// What of a node can be unreadable.
public enum UnreadablePart: UInt8, Hashable, Sendable, CaseIterable {
  /// All of it: nothing is known but its name, its inode number and perhaps its type.
  case node = 0
  /// Bytes of a file (its extents say which), a link's target, entries of a directory.
  case content = 1
  /// Extended attributes: those that the node has could be read, others may be missing.
  case extendedAttributes = 2
}

/// The parts of nodes that cannot be read, while a representation is written.
struct PendingUnreadable {
  private var records: [UnreadableRecord] = []
  /// The reasons of whole nodes, for messages.
  private var nodes: [UInt64: String] = [:]
  /// Where entries lead to nodes that have a record: the first entry of each.
  private var names: [UInt64: (directory: UInt64, entry: UInt64)] = [:]

  var isEmpty: Bool { records.isEmpty }
  var count: UInt64 { UInt64(records.count) }

  /// Whether a part of the last node is known to be unreadable; the first reason stays.
  func has(_ part: UnreadablePart, ofNode node: UInt64) -> Bool {
    records.reversed().prefix { $0.node == node }.contains { $0.part == part.rawValue }
  }

  mutating func add(_ record: UnreadableRecord, reason: String) {
    records.append(record)
    if record.part == UnreadablePart.node.rawValue { nodes[record.node] = reason }
    names[record.node] = (Format.none, Format.none)
  }

  /// Why nothing of a node can be read; `nil` when something can.
  func reason(ofNode node: UInt64) -> String? { nodes[node] }

  /// Takes an entry that leads to a node, if it is one of these and has no name yet.
  mutating func note(entry: UInt64, of directory: UInt64, leadingTo node: UInt64) {
    guard !names.isEmpty, let known = names[node], known.entry == Format.none else { return }
    names[node] = (directory, entry)
  }

  /// The section.
  var encoded: [UInt8] {
    var fields = FieldWriter(capacity: records.count * UnreadableRecord.size)
    for record in records.sorted(by: { ($0.node, $0.part) < ($1.node, $1.part) }) {
      var record = record
      if let name = names[record.node] {
        record.directory = name.directory
        record.entry = name.entry
      }
      record.write(to: &fields)
    }
    return fields.bytes
  }
}
