public import FrozenImage

/// A part of a node that could not be read when the image was frozen.
public struct Unreadable: Hashable, Sendable {
  /// The node; the rest of it can be read.
  public let node: NodeIndex
  /// Which part of the node is lost.
  public let part: UnreadablePart
  /// One sentence without a full stop, for people; from the production host, so it may
  /// hold anything.
  public let reason: String
  /// The directory in which the node has a name, and the entry; `nil` when it has none.
  let name: (directory: NodeIndex, entry: UInt64)?

  public static func == (left: Self, right: Self) -> Bool {
    left.node == right.node && left.part == right.part
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(node)
    hasher.combine(part)
  }
}

extension Representation {
  /// How many parts of nodes could not be read when the image was frozen.
  public var unreadableCount: UInt64 { unreadable.count }

  /// One of these parts; they ascend by node, then by part.
  ///
  /// - Throws: `damaged` when there is no such part or its record is malformed.
  public func unreadablePart(at index: UInt64) throws(RepresentationError) -> Unreadable {
    let record = try unreadable.record(at: index)
    guard let part = UnreadablePart(rawValue: record.part) else {
      throw .damaged(place: "unreadable part \(index)", problem: "its kind is not known")
    }
    return Unreadable(
      node: NodeIndex(rawValue: record.node), part: part, reason: try reason(of: record),
      name: record.directory < nodes.count
        ? (NodeIndex(rawValue: record.directory), record.entry) : nil)
  }

  private func reason(of record: UnreadableRecord) throws(RepresentationError) -> String {
    let count = min(Int(clamping: record.reasonLength), RepresentationLimits.reason)
    return String(
      decoding: try heapBytes(at: record.reasonOffset, count: count), as: UTF8.self)
  }

  /// Why a part of a node cannot be read; `nil` when it can. By binary search.
  ///
  /// - Throws: `RepresentationError.damaged` when a record lies out of range.
  public func unreadableReason(
    of node: NodeIndex, _ part: UnreadablePart
  ) throws(RepresentationError) -> String? {
    var low: UInt64 = 0
    var high = unreadable.count
    while low < high {
      let middle = low + (high - low) / 2
      let record = try unreadable.record(at: middle)
      if record.node == node.rawValue, record.part == part.rawValue {
        return try reason(of: record)
      }
      if (record.node, record.part) < (node.rawValue, part.rawValue) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return nil
  }

  /// - Throws: `unreadable` when a part of a node is.
  @inline(__always)
  func requireReadable(
    _ node: NodeIndex, _ part: UnreadablePart
  ) throws(RepresentationError) {
    guard unreadable.count > 0, let reason = try unreadableReason(of: node, part) else { return }
    throw .unreadable(node, reason: reason)
  }

  /// The inode number that is shown, which a directory tells also when nothing else of the
  /// node could be read.
  ///
  /// - Throws: `noSuchNode`.
  public func inode(of node: NodeIndex) throws(RepresentationError) -> UInt64 {
    let own = try record(of: node).attributes.inode
    return identities.count > 0 ? try identities.record(at: node.rawValue).identity.inode : own
  }
}

// MARK: Check

extension Representation {
  /// Every unreadable part has a reason, is of a node, and is found at the name that it
  /// tells. A node of which nothing is known has nothing.
  func checkUnreadable() throws(RepresentationError) {
    var previous: (node: UInt64, part: UInt8)?
    for index in 0..<unreadable.count {
      let record = try unreadable.record(at: index)
      func wrong(_ problem: String) -> RepresentationError {
        .damaged(place: "unreadable part \(index)", problem: problem)
      }
      if let previous, previous >= (record.node, record.part) {
        throw wrong("it is not in ascending order")
      }
      previous = (record.node, record.part)
      guard (1...RepresentationLimits.reason).contains(Int(record.reasonLength)) else {
        throw wrong("its reason has \(record.reasonLength) bytes")
      }
      _ = try reason(of: record)
      guard let part = UnreadablePart(rawValue: record.part) else {
        throw wrong("its kind is not known")
      }
      let node = try nodes.record(at: record.node)
      try checkPart(part, of: node, at: record.node, wrong)
      try checkName(of: record, wrong)
    }
  }

  private func checkPart(
    _ part: UnreadablePart, of node: NodeRecord, at index: UInt64,
    _ wrong: (String) -> RepresentationError
  ) throws(RepresentationError) {
    switch part {
    case .node:
      guard node.count == 0, node.attributeCount == 0 else {
        throw wrong("nothing is known of its node, and yet it has content or attributes")
      }
      guard !roots.contains(where: { $0.node.rawValue == index }) else {
        throw wrong("its node is a top directory")
      }
    case .content:
      switch node.attributes.type {
      case .regular, .directory, .symbolicLink: break
      case .fifo, .socket, .characterDevice, .blockDevice:
        throw wrong("its node cannot have content")
      }
    case .extendedAttributes: break
    }
  }

  private func checkName(
    of record: UnreadableRecord, _ wrong: (String) -> RepresentationError
  ) throws(RepresentationError) {
    guard record.directory != Format.none || record.entry != Format.none else { return }
    let directory = try nodes.record(at: record.directory)
    guard directory.attributes.type == .directory, record.entry >= directory.first,
      record.entry - directory.first < directory.count,
      try entries.record(at: record.entry).node == record.node
    else { throw wrong("the entry that it names does not lead to its node") }
  }
}
