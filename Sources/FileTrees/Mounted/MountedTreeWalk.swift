import CFileMap
package import DataSets
package import FrozenImage
import Glibc
package import LogicalRepresentation
package import SystemPackage
package import VolumeLayers

/// Writes what the kernel shows of a tree of an ext2/3/4 or XFS that it has mounted.
package struct MountedTreeWalk {
  /// What is known of the tree's rest.
  package enum Rest: Hashable, Sendable {
    /// Nobody can write to the file system.
    case readOnly
    /// Somebody may, and it is promised that nobody does.
    case promised
    /// It is a copy that floe made, with marks of what could not be copied.
    case copy
  }

  let mount: TreeMount
  let top: NodeHandle
  /// The tree's, for messages.
  let path: String
  let rest: Rest

  package init(_ mount: TreeMount, top: NodeHandle, path: String, rest: Rest) {
    self.mount = mount
    self.top = top
    self.path = path
    self.rest = rest
  }

  /// Writes the tree's nodes; the caller completes the representation.
  ///
  /// What cannot be read costs no more than itself: it is marked as unreadable.
  ///
  /// - Parameters:
  ///   - layer: what the file system's device is, the top layer of its stack.
  ///   - progress: called now and then.
  /// - Throws: `StackError` when the top directory cannot be read, or a file of a tree that
  ///   cannot change was changed; what the writer and its scratch space throw.
  package func describe(
    into writer: inout RepresentationWriter, on layer: Layer,
    progress: (FreezeProgress) -> Void
  ) throws {
    let listing = try TreeListing(of: mount, top: top)
    let content = FileContent(layer: layer, isReadOnly: rest == .readOnly, kind: mount.kind)
    var done = FreezeProgress()
    for node in listing.nodes {
      let attributes = try describe(node, listing, content, into: &writer)
      done.nodes += 1
      if let attributes, attributes.type == .regular {
        done.files += 1
        done.bytes &+= attributes.size
      }
      if done.nodes.isMultiple(of: 256) { progress(done) }
    }
    progress(done)
  }

  /// Writes a node.
  ///
  /// - Returns: its attributes; `nil` of a node of which nothing is known.
  private func describe(
    _ node: TreeListing.Node, _ listing: TreeListing, _ content: FileContent,
    into writer: inout RepresentationWriter
  ) throws -> NodeAttributes? {
    let inode = node.handle.inode
    func writeUnknown(_ reason: String) throws -> NodeAttributes? {
      try writer.addUnreadableNode(inode: inode, type: node.type, reason: reason)
      return nil
    }
    if let reason = listing.unknown[inode] { return try writeUnknown(reason) }
    let opened: OpenNode
    do throws(Errno) {
      opened = try open(node)
    } catch {
      let failure = StackError(cannot: "open inode \(inode) of \(path)", error)
      guard error.concernsOneNode else { throw failure }
      return try writeUnknown(failure.description)
    }
    defer { try? opened.file.close() }
    let attributes = opened.attributes
    if let problem = attributes.problem { return try writeUnknown(problem) }
    guard attributes.type == node.type else {
      return try writeUnknown("it is of another type than its directory says")
    }
    let marks = rest == .copy ? UnreadableMarks(on: opened.file) : nil
    if let reason = marks?[.node] { return try writeUnknown(reason) }
    let original = rest == .copy ? OriginalMark.identity(of: opened.file) : nil
    try writer.beginNode(attributes, shownAs: original)
    try addExtendedAttributes(of: opened.file, marks, to: &writer)
    if let problem = opened.problem ?? marks?[.content], node.type != .directory {
      try writer.markRest(reason: problem)
    } else {
      try addContent(of: opened, node, listing, content, to: &writer)
      if let problem = opened.problem ?? marks?[.content] { try writer.markRest(reason: problem) }
    }
    try requireUnchanged(opened, node, &writer)
    try writer.endNode()
    return attributes
  }

  /// A node of the tree, open.
  private struct OpenNode {
    let file: FileDescriptor
    let attributes: NodeAttributes
    /// Why its content cannot be opened; `nil` when it could be.
    let problem: String?
  }

  /// Opens a node: for its content, or when that cannot be opened (it needs a key that is
  /// not there, say), only to be looked at. The caller closes it.
  private func open(_ node: TreeListing.Node) throws(Errno) -> OpenNode {
    let format = TreeMount.FileFormat(node.type)
    do throws(Errno) {
      let file = try mount.open(node.handle, type: format)
      do throws(Errno) {
        return OpenNode(
          file: file, attributes: try frozenAttributes(of: file, node.handle), problem: nil)
      } catch {
        try? file.close()
        throw error
      }
    } catch {
      guard format != .other, error.concernsOneNode else { throw error }
      let file = try mount.open(node.handle, cfilemap_o_path)
      do throws(Errno) {
        return OpenNode(
          file: file,
          attributes: try frozenAttributes(of: file, node.handle, readsFlags: false),
          problem: StackError(
            cannot: "open inode \(node.handle.inode) of \(path)", error
          ).description)
      } catch {
        try? file.close()
        throw error
      }
    }
  }

  private func addContent(
    of opened: OpenNode, _ node: TreeListing.Node, _ listing: TreeListing, _ content: FileContent,
    to writer: inout RepresentationWriter
  ) throws {
    let place = "inode \(node.handle.inode) of \(path)"
    do {
      switch node.type {
      case .directory: try addEntries(of: node.handle, listing, to: &writer)
      case .regular: try addExtents(of: opened.file, opened.attributes, content, to: &writer)
      case .symbolicLink:
        try opened.file.linkTarget().dropLast().withUnsafeBytes {
          try writer.setSymbolicLinkTarget($0)
        }
      default: break
      }
    } catch let error as Errno {
      let failure = StackError(cannot: "describe \(place)", error)
      guard error.concernsOneNode else { throw failure }
      try writer.markRest(reason: failure.description)
    } catch let error as FileMapError {
      try writer.markRest(reason: "cannot describe \(place): \(error)")
    } catch let error as StackError {
      try writer.markRest(reason: error.description)
    }
  }

  /// A file that was changed while it was described is known by its attributes: every read
  /// of it is validated by a question, and refused. In a tree that nobody could change, it
  /// means that the promise does not hold.
  private func requireUnchanged(
    _ opened: OpenNode, _ node: TreeListing.Node, _ writer: inout RepresentationWriter
  ) throws {
    guard opened.problem == nil else { return }
    let now = try? frozenAttributes(of: opened.file, node.handle)
    if let now, now.isUnchanged(since: opened.attributes) { return }
    let reason = "inode \(node.handle.inode) of \(path) was changed while it was described"
    guard rest == .promised else { throw StackError(.inUse, reason) }
    try writer.markUnreadable(.content, reason: reason)
  }

  /// What the image shows of an open file. The immutable flag of a copy is floe's own.
  package func frozenAttributes(
    of file: FileDescriptor, _ node: NodeHandle, readsFlags: Bool = true
  ) throws(Errno) -> NodeAttributes {
    var attributes = try FileStatus(
      of: file, generation: node.generation, readsFlags: readsFlags
    ).attributes
    let immutable = UInt64(cfilemap_flag_immutable)
    if rest == .copy, attributes.inodeFlags & immutable != 0 {
      attributes.inodeFlags &= ~immutable
    } else if rest == .copy, attributes.format != .other {
      // Never equal to what was described.
      attributes.inodeFlags |= immutable
    }
    return attributes
  }

  private func addExtendedAttributes(
    of file: FileDescriptor, _ marks: UnreadableMarks?, to writer: inout RepresentationWriter
  ) throws {
    let list = ExtendedAttributeList(of: file)
    var problem = marks?[.extendedAttributes]
    var names: [[CChar]] = []
    do throws(Errno) { names = try list.names() } catch {
      problem = problem ?? "they cannot be listed: \(error)"
    }
    for name in names where marks == nil || !UnreadableMarks.isMark(name) {
      var value: [UInt8]?
      do throws(Errno) { value = try list.value(of: name) } catch {
        problem = problem ?? "one of them cannot be read: \(error)"
      }
      if let value { try writer.add(name.dropLast().map { UInt8(bitPattern: $0) }, value) }
    }
    if let problem { try writer.markUnreadable(.extendedAttributes, reason: problem) }
  }

  private func addEntries(
    of directory: NodeHandle, _ listing: TreeListing, to writer: inout RepresentationWriter
  ) throws {
    var linked: Set<UInt64> = []
    var missing = listing.partial[directory.inode]
    var failure: (any Error)?
    func add(_ entry: DirectoryEntry) throws {
      guard let node = listing[entry.inode] else {
        missing = missing ?? "its entry \(entry.text) came while the tree was described"
        return
      }
      if node.type == .directory {
        guard listing.isEntry(for: entry.inode, in: directory.inode),
          linked.insert(entry.inode).inserted
        else { return }
      }
      try entry.name.dropLast().withUnsafeBytes {
        try writer.addEntry(name: $0, inode: entry.inode, type: node.type)
      }
    }
    do throws(StackError) {
      try mount.visitEntries(of: directory) { (entry, _) throws(StackError) in
        guard failure == nil else { return }
        do { try add(entry) } catch { failure = error }
      }
    } catch {
      missing = missing ?? error.description
    }
    if let failure { throw failure }
    if let missing { try writer.markUnreadable(.content, reason: missing) }
  }

  private func addExtents(
    of file: FileDescriptor, _ attributes: NodeAttributes, _ content: FileContent,
    to writer: inout RepresentationWriter
  ) throws {
    try content.visit(file, attributes, in: 0..<UInt64.max) { extent in
      guard case .inline = extent.source else {
        try writer.addExtent(extent, checksums: nil)
        return
      }
      let bytes = try file.bytes(at: extent.offset, count: Int(clamping: extent.length))
      try bytes.withUnsafeBytes {
        try writer.addInline(offset: extent.offset, length: extent.length, bytes: $0)
      }
    }
  }
}

extension TreeMount.FileFormat {
  /// How a node of a type is opened.
  package init(_ type: FrozenImage.FileType) {
    switch type {
    case .regular: self = .regular
    case .directory: self = .directory
    default: self = .other
    }
  }
}
