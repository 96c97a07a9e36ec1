package import FrozenImage
package import LogicalRepresentation

/// What changed between two images of a tree, found in their representations alone: no data is
/// read.
///
/// A file's bytes are taken to be the same only when its inode number, birth time, size,
/// modification time and change time are: the kernel sets the change time with every write, and
/// only who sets the host's clock back can have it so again. That its extents are the same
/// proves nothing, since a file system may write in place. A file that was changed when the
/// older image was frozen may have been changed once more within one tick of the clock, so it
/// is taken to be changed.
package struct ImageDifference {
  /// A side of the comparison.
  private struct Side {
    let representation: Representation
    let top: NodeIndex
  }

  /// What became of an entry.
  package enum Change: Hashable, Sendable {
    case added
    case removed
    /// What is other, in a fixed order; never empty.
    case changed([Aspect])
  }

  /// What of an entry is other.
  package enum Aspect: String, Hashable, Sendable {
    /// The bytes may be others; a link leads elsewhere; a device node is another device.
    case content
    /// Owner, group or permissions.
    case permissions
    /// The modification time.
    case time
    /// Extended attributes, ACLs among them.
    case attributes
    /// In one of the images it could not be read, so nothing can be told.
    case unreadable
  }

  /// An entry that is not the same in both images.
  package struct Entry: Hashable, Sendable {
    /// What became of it.
    package let change: Change
    /// Its type; where the type changed, one entry is removed and another one added.
    package let type: FileType
    /// From the image's top down, without a slash before it; bytes in no particular encoding.
    package let path: [UInt8]
  }

  private let old: Side
  private let new: Side
  /// The change time in the older image from which on a file may have been changed once more.
  private let unsettled: Timestamp

  /// - Parameters:
  ///   - old: the older image, and the directory in it that is compared.
  ///   - new: the newer image, and the directory.
  package init(
    from old: Representation, at oldTop: NodeIndex, to new: Representation, at newTop: NodeIndex
  ) {
    self.old = Side(representation: old, top: oldTop)
    self.new = Side(representation: new, top: newTop)
    unsettled = Self.unsettled(in: old)
  }

  /// When the older image was frozen, as far as its representation tells, less what two changes
  /// can be apart and have the same time.
  private static func unsettled(in image: Representation) -> Timestamp {
    let description = image.image
    var (newest, hasFractions) = (Timestamp(seconds: .min, nanoseconds: 0), false)
    for index in 0..<image.nodeCount {
      guard let found = try? image.attributes(of: NodeIndex(rawValue: index)) else { continue }
      hasFractions = hasFractions || found.changed.nanoseconds > 0
      // Those of the future are nobody's true times.
      guard found.changed.seconds <= description.created.seconds else { continue }
      if (newest.seconds, newest.nanoseconds) < (found.changed.seconds, found.changed.nanoseconds) {
        newest = found.changed
      }
    }
    let lead = Int64(description.freezeLead)
    let began =
      lead > 0
      ? Timestamp(seconds: description.created.seconds - lead, nanoseconds: 0)
      // The last change came before the rest.
      : newest
    // A clock's tick is 10 ms at most (CONFIG_HZ), and some file systems keep whole seconds.
    guard hasFractions, began.nanoseconds >= tick else {
      return Timestamp(seconds: began.seconds &- 1, nanoseconds: 0)
    }
    return Timestamp(seconds: began.seconds, nanoseconds: began.nanoseconds - tick)
  }

  /// Nanoseconds: two ticks.
  private static let tick: UInt32 = 20_000_000

  /// Hands out the entries that differ, a directory before what is in it. What is in a
  /// directory that was added or removed is handed out too.
  ///
  /// - Parameter failed: takes the path of a directory of which not all could be read when one of
  ///   the images was frozen, so that its entries cannot be compared.
  /// - Throws: what the body throws; `RepresentationError` when a record cannot be read.
  package func forEach(
    failed: ([UInt8], RepresentationError) -> Void, _ body: (Entry) throws -> Void
  ) throws {
    if let aspects = try aspects(old.top, new.top, .directory) {
      try body(Entry(change: .changed(aspects), type: .directory, path: []))
    }
    var pending: [Pair] = [Pair(old: old.top, new: new.top, path: [])]
    while let pair = pending.popLast() {
      do {
        try compare(pair, failed: failed, body) { pending.append($0) }
      } catch let error as RepresentationError {
        guard case .unreadable = error else { throw error }
        failed(pair.path, error)
      }
    }
  }

  /// A directory that is in both images.
  private struct Pair {
    let old: NodeIndex
    let new: NodeIndex
    let path: [UInt8]

    func path(of name: UnsafeRawBufferPointer) -> [UInt8] {
      path.isEmpty ? Array(name) : path + [UInt8(ascii: "/")] + name
    }
  }

  /// Goes through both directories at once: the entries of each ascend by the names' bytes.
  private func compare(
    _ pair: Pair, failed: ([UInt8], RepresentationError) -> Void,
    _ body: (Entry) throws -> Void, goInto: (Pair) -> Void
  ) throws {
    var (oldPosition, newPosition): (UInt64, UInt64) = (0, 0)
    while true {
      let left = try old.representation.entry(at: oldPosition, of: pair.old)
      let right = try new.representation.entry(at: newPosition, of: pair.new)
      let order = Self.order(left, right)
      if let left, order < 0 || order == 0 && left.type != right?.type {
        try report(
          .removed, left.node, left.type, pair.path(of: left.name), of: old, failed: failed, body)
      }
      if let right, order > 0 || order == 0 && left?.type != right.type {
        try report(
          .added, right.node, right.type, pair.path(of: right.name), of: new, failed: failed, body)
      }
      if let left, let right, order == 0, left.type == right.type {
        let path = pair.path(of: right.name)
        if let aspects = try aspects(left.node, right.node, right.type) {
          try body(Entry(change: .changed(aspects), type: right.type, path: path))
        }
        if right.type == .directory {
          goInto(Pair(old: left.node, new: right.node, path: path))
        }
      }
      guard left != nil || right != nil else { return }
      if order <= 0 { oldPosition += 1 }
      if order >= 0 { newPosition += 1 }
    }
  }

  /// Less than 0 when the left name comes first, more when the right one does. A directory
  /// that has ended comes last.
  private static func order(
    _ left: Representation.Entry?, _ right: Representation.Entry?
  ) -> Int {
    guard let left else { return right == nil ? 0 : 1 }
    guard let right else { return -1 }
    if left.name.elementsEqual(right.name) { return 0 }
    return left.name.lexicographicallyPrecedes(right.name) ? -1 : 1
  }

  private func report(
    _ change: Change, _ node: NodeIndex, _ type: FileType, _ path: [UInt8], of side: Side,
    failed: ([UInt8], RepresentationError) -> Void, _ body: (Entry) throws -> Void
  ) throws {
    try body(Entry(change: change, type: type, path: path))
    guard type == .directory else { return }
    try TreeWalk(of: side.representation).forEach(
      below: node, at: path, isDeep: true, failed: failed
    ) { entry in
      try body(Entry(change: change, type: entry.type, path: entry.path))
    }
  }
}

// MARK: One entry

extension ImageDifference {
  /// What of a node is other; `nil` when nothing is.
  private func aspects(
    _ left: NodeIndex, _ right: NodeIndex, _ type: FileType
  ) throws(RepresentationError) -> [Aspect]? {
    do throws(RepresentationError) {
      let before = try old.representation.attributes(of: left)
      let now = try new.representation.attributes(of: right)
      var aspects: [Aspect] = []
      if try isOtherContent(left, before, right, now, type) { aspects.append(.content) }
      if (before.mode, before.owner, before.group) != (now.mode, now.owner, now.group) {
        aspects.append(.permissions)
      }
      if before.modified != now.modified { aspects.append(.time) }
      if try !haveSameAttributes(left, right) { aspects.append(.attributes) }
      return aspects.isEmpty ? nil : aspects
    } catch {
      guard case .unreadable = error else { throw error }
      return [.unreadable]
    }
  }

  private func isOtherContent(
    _ left: NodeIndex, _ before: NodeAttributes, _ right: NodeIndex, _ now: NodeAttributes,
    _ type: FileType
  ) throws(RepresentationError) -> Bool {
    switch type {
    case .regular:
      // What could not be read then may be readable now, or the other way round.
      for (side, node) in [(old, left), (new, right)] {
        if let reason = try side.representation.unreadableReason(of: node, .content) {
          throw .unreadable(node, reason: reason)
        }
      }
      return before.inode != now.inode || before.created != now.created
        || before.size != now.size || before.modified != now.modified
        || before.changed != now.changed
        || (before.changed.seconds, before.changed.nanoseconds)
          >= (unsettled.seconds, unsettled.nanoseconds)
    case .symbolicLink:
      let target = try old.representation.symbolicLinkTarget(of: left)
      return try !target.elementsEqual(new.representation.symbolicLinkTarget(of: right))
    case .characterDevice, .blockDevice:
      return (before.deviceMajor, before.deviceMinor) != (now.deviceMajor, now.deviceMinor)
    case .directory, .fifo, .socket: return false
    }
  }

  private func haveSameAttributes(
    _ left: NodeIndex, _ right: NodeIndex
  ) throws(RepresentationError) -> Bool {
    let before = try old.representation.extendedAttributes(of: left)
    let now = try new.representation.extendedAttributes(of: right)
    return before.elementsEqual(now) {
      $0.name.elementsEqual($1.name) && $0.value.elementsEqual($1.value)
    }
  }
}
