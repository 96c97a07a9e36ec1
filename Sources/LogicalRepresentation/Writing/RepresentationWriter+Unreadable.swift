public import FrozenImage

extension RepresentationWriter {
  /// Notes that a part of the open node cannot be read. Of several reasons for one part,
  /// the first is kept.
  ///
  /// A symbolic link then needs no target, and a directory may lack entries. Of a regular
  /// file, the bytes that cannot be read are added by `addUnreadable` or `markRest`. What
  /// is none of these has no content.
  ///
  /// - Parameter reason: one sentence without a full stop, for people.
  /// - Throws: `RepresentationWriterError` when no node is open; `ScratchError`.
  public mutating func markUnreadable(_ part: UnreadablePart, reason: String) throws {
    let type = try current().attributes.type
    let hasContent = type == .regular || type == .directory || type == .symbolicLink
    guard part != .content || hasContent else { return }
    let node = UInt64(inodes.count)
    guard !unreadable.has(part, ofNode: node) else { return }
    // Cut where a character ends.
    var text = reason.isEmpty ? "its reason is not known" : reason
    while text.utf8.count > RepresentationLimits.reason { text.removeLast() }
    let record = UnreadableRecord(
      node: node, part: part, reasonOffset: counts.heap, reasonLength: UInt32(text.utf8.count))
    try Array(text.utf8).withUnsafeBytes { try appendToHeap($0) }
    unreadable.add(record, reason: text)
  }

  /// Adds bytes of the open regular file that cannot be read, in ascending order of offset
  /// with its extents.
  ///
  /// - Throws: `RepresentationWriterError` when the extent breaks a rule.
  public mutating func addUnreadable(offset: UInt64, length: UInt64, reason: String) throws {
    let end = try claim(offset: offset, length: length)
    try markUnreadable(.content, reason: reason)
    let extent = FileExtent(offset: offset, length: length, source: .unreadable)
    try append(ExtentRecord(extent, checksums: Format.none), to: .extents, counting: \.extents)
    extentEnd = end
  }

  /// Notes that of the open node's content no more can be read than was added: of a
  /// regular file all bytes behind the last extent, else as `markUnreadable` does.
  ///
  /// - Throws: as `markUnreadable`.
  public mutating func markRest(reason: String) throws {
    let attributes = try current().attributes
    if attributes.type == .regular, extentEnd < attributes.size {
      try addUnreadable(
        offset: extentEnd, length: attributes.size - extentEnd, reason: reason)
    } else {
      try markUnreadable(.content, reason: reason)
    }
  }

  /// Adds a node of which nothing can be read but what a directory tells of it.
  ///
  /// - Throws: as `beginNode`.
  public mutating func addUnreadableNode(
    inode: UInt64, type: FileType, reason: String
  ) throws {
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    try beginNode(
      NodeAttributes(
        inode: inode, generation: 0, mode: UInt32(type.rawValue) << 12, links: 1, owner: 0,
        group: 0, deviceMajor: 0, deviceMinor: 0, size: 0, blocks: 0, accessed: never,
        modified: never, changed: never, created: nil, inodeFlags: 0))
    try markUnreadable(.node, reason: reason)
    if type == .symbolicLink { try markUnreadable(.content, reason: reason) }
    try endNode()
  }
}
