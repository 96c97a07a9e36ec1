import CFileMap
public import FrozenImage
import Glibc
import LinuxIO
import SystemPackage

extension MountedTree {
  /// Writes the tree's nodes; the caller completes the representation, whose top
  /// directory is `topInode`.
  ///
  /// - Parameters:
  ///   - deviceLayer: the top layer of the stack that `device` is.
  ///   - progress: called now and then.
  /// - Throws: `StackError` when a file is being written or an entry vanishes, or what
  ///   the writer and its scratch space throw.
  public func describe(
    into writer: inout RepresentationWriter, deviceLayer: Layer,
    progress: (FreezeProgress) -> Void
  ) throws {
    try requireSameDevice(deviceLayer)
    // What was written before the promise may be in the page cache only.
    guard cfilemap_sync(mount.top.rawValue) == 0 else {
      throw StackError(cannot: "write \(image.path) to its device", Errno(rawValue: errno))
    }
    let listing = try TreeListing(of: mount, top: image.top)
    let content = FileContent(
      layer: deviceLayer, isReadOnly: image.promise == .readOnly, kind: kind)
    var done = FreezeProgress()
    for node in listing.nodes {
      let attributes = try describe(node, listing, content, into: &writer)
      done.files += 1
      if attributes.type == .regular { done.bytes &+= attributes.size }
      if done.files.isMultiple(of: 256) { progress(done) }
    }
    progress(done)
    try liveCheck()
  }

  /// Reading another device than the one that the addresses are of would give another
  /// tree's bytes.
  private func requireSameDevice(_ layer: Layer) throws(StackError) {
    let found = try MountedSuperblock(of: layer.title, kind: kind) { offset, buffer in
      try layer.read(into: buffer, at: offset)
    }
    guard found.id == fileSystemID, layer.size >= medium.size else {
      throw StackError("\(layer.title) is not the device \(device) that \(image.path) is on")
    }
  }

  private func describe(
    _ node: TreeListing.Node, _ listing: TreeListing, _ content: FileContent,
    into writer: inout RepresentationWriter
  ) throws -> NodeAttributes {
    let place = "inode \(node.handle.inode) of \(image.path)"
    do {
      let format = TreeMount.FileFormat(node.type)
      let file = try mount.open(node.handle, type: format)
      defer { try? file.close() }
      let attributes = try frozenAttributes(of: file, node.handle)
      guard attributes.type == node.type else { throw StackError("\(place) was replaced") }
      try writer.beginNode(attributes)
      try addExtendedAttributes(of: file, to: &writer)
      switch node.type {
      case .directory: try addEntries(of: node.handle, listing, to: &writer)
      case .regular: try addExtents(of: file, attributes, content, to: &writer)
      case .symbolicLink:
        try file.linkTarget().dropLast().withUnsafeBytes { try writer.setSymbolicLinkTarget($0) }
      default: break
      }
      try writer.endNode()
      guard try frozenAttributes(of: file, node.handle).isUnchanged(since: attributes) else {
        throw StackError("\(place) was changed while it was described")
      }
      return attributes
    } catch let error as Errno {
      throw StackError(cannot: "describe \(place)", error)
    } catch let error as FileMapError {
      throw StackError("cannot describe \(place): \(error)")
    }
  }

  /// What the image shows of an open file. The immutable flag of a copy is floe's own.
  func frozenAttributes(
    of file: FileDescriptor, _ node: NodeHandle
  ) throws(Errno) -> NodeAttributes {
    var attributes = try FileStatus(of: file, generation: node.generation).attributes
    let immutable = UInt64(cfilemap_flag_immutable)
    if image.promise == .reflinkCopy, attributes.inodeFlags & immutable != 0 {
      attributes.inodeFlags &= ~immutable
    } else if image.promise == .reflinkCopy, attributes.format != .other {
      // Never equal to what was described.
      attributes.inodeFlags |= immutable
    }
    return attributes
  }

  private func addExtendedAttributes(
    of file: FileDescriptor, to writer: inout RepresentationWriter
  ) throws {
    let list = ExtendedAttributeList(of: file)
    for name in try list.names() {
      let value = try list.value(of: name)
      try name.dropLast().withUnsafeBytes { name in
        try value.withUnsafeBytes { try writer.addExtendedAttribute(name: name, value: $0) }
      }
    }
  }

  private func addEntries(
    of directory: NodeHandle, _ listing: TreeListing, to writer: inout RepresentationWriter
  ) throws {
    try mount.visitEntries(of: directory) { (entry, _) throws(StackError) in
      guard let node = listing[entry.inode] else {
        throw StackError(
          "the entry \(entry.text) of directory \(directory.inode) of \(image.path) came while "
            + "the tree was described")
      }
      do {
        try entry.name.dropLast().withUnsafeBytes {
          try writer.addEntry(name: $0, inode: entry.inode, type: node.type)
        }
      } catch {
        throw (error as? StackError) ?? StackError("\(error)")
      }
    }
  }

  private func addExtents(
    of file: FileDescriptor, _ attributes: NodeAttributes, _ content: FileContent,
    to writer: inout RepresentationWriter
  ) throws {
    try content.visit(file, attributes, in: 0..<UInt64(Int64.max)) { extent in
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
  init(_ type: FrozenImage.FileType) {
    switch type {
    case .regular: self = .regular
    case .directory: self = .directory
    default: self = .other
    }
  }
}
