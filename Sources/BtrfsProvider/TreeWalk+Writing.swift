import DataSets
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// Writing what was found.
extension TreeWalk {
  mutating func write(_ item: TreeItem, _ extent: Extent) throws {
    if item.key.object != open?.attributes.inode { try endNode() }
    if item.key.type == ItemType.inode {
      try writeLost(before: item.key.object)
      guard let inode = try reachedInode(item), inode.links > 0 else { return }
      links.note(inode: item.key.object, links: inode.links)
      if let problem = inode.attributes.problem {
        // It may be a directory, and have children.
        guard salvage != nil else { throw TreeDamage() }
        // Its other items belong to no node then.
        try writer.addUnreadableNode(
          inode: inode.attributes.inode, type: .regular, reason: problem)
        progress.nodes += 1
        return
      }
      try writer.beginNode(inode.attributes)
      unreadableEnd = 0
      open = inode
      return
    }
    // Items of an orphan, or that belong to no inode.
    guard let open else { return }
    switch item.key.type {
    case ItemType.extendedAttribute:
      let (attributes, isTorn) = DirectoryItem.all(in: item.payload)
      for attribute in attributes {
        try writer.addExtendedAttribute(name: attribute.name, value: attribute.data)
      }
      if isTorn { try writer.markUnreadable(.extendedAttributes, reason: torn(item)) }
    case ItemType.directoryIndex:
      let (entries, isTorn) = DirectoryItem.all(in: item.payload)
      for entry in entries { try add(entry, to: open.attributes) }
      if isTorn { try writer.markUnreadable(.content, reason: torn(item)) }
    case ItemType.fileExtent:
      try write(extent, of: open.attributes)
    default:
      break
    }
  }

  mutating func endNode() throws {
    guard let inode = open else { return }
    try writer.endNode()
    open = nil
    progress.nodes += 1
    guard inode.attributes.type == .regular else { return }
    progress.files += 1
    progress.bytes &+= inode.attributes.size
  }

  private func torn(_ item: TreeItem) -> String {
    "an entry or attribute of inode \(item.key.object) of \(volume.subvolume.path) is torn"
  }

  private mutating func add(_ entry: DirectoryItem, to directory: NodeAttributes) throws {
    if entry.isSubvolume {
      let attributes: NodeAttributes
      do throws(BtrfsError) {
        attributes = try emptyDirectory(entry.name, in: directory.inode)
      } catch {
        try writer.markUnreadable(.content, reason: error.description)
        return
      }
      try writer.addEmptyDirectory(name: entry.name, attributes: attributes)
      return
    }
    try write(entry, to: directory)
  }

  /// What `stat` shows where another subvolume is nested: in a snapshot, an empty
  /// directory that exists in no tree.
  private func emptyDirectory(
    _ name: UnsafeRawBufferPointer, in directory: UInt64
  ) throws(BtrfsError) -> NodeAttributes {
    let parent = try files.openInode(directory, mustBe: S_IFDIR)
    defer { try? parent.close() }
    var status = stat()
    let text = name.map { CChar(bitPattern: $0) } + [0]
    let failed = fstatat(parent.rawValue, text, &status, AT_SYMLINK_NOFOLLOW) != 0
    guard !failed, status.st_mode & S_IFMT == S_IFDIR else {
      throw BtrfsError(
        cannot: "look at a nested subvolume in directory \(directory) of "
          + "\(volume.subvolume.path)", failed ? Errno(rawValue: errno) : .notDirectory)
    }
    return NodeAttributes(
      inode: InodeNumbers.emptySubvolume, generation: 0, mode: status.st_mode, links: 1,
      owner: status.st_uid, group: status.st_gid, deviceMajor: 0, deviceMinor: 0, size: 0,
      blocks: 0, accessed: Timestamp(status.st_atim), modified: Timestamp(status.st_mtim),
      changed: Timestamp(status.st_ctim), created: nil, inodeFlags: 0)
  }

  /// - Parameter range: what is known of the place; its end may lie behind the file's.
  mutating func writeUnreadable(
    _ range: Range<UInt64>, _ reason: String, of attributes: NodeAttributes
  ) throws {
    let range = range.clamped(to: unreadableEnd..<max(attributes.size, unreadableEnd))
    guard attributes.type == .regular, !range.isEmpty else {
      return try writer.markUnreadable(.content, reason: reason)
    }
    try writer.addUnreadable(
      offset: range.lowerBound, length: range.upperBound - range.lowerBound, reason: reason)
    unreadableEnd = range.upperBound
  }

  private mutating func write(_ extent: Extent, of attributes: NodeAttributes) throws {
    switch extent {
    case .skipped:
      break
    case .unreadable(let range, let reason):
      try writeUnreadable(range, reason, of: attributes)
    case .partlyUnreadable(let extent, let reason):
      try writer.markUnreadable(.content, reason: reason)
      try write(.pieces([(extent, nil)]), of: attributes)
    case .inline(let length, let bytes):
      guard length > 0 else { return }
      try bytes.withUnsafeBytes { bytes in
        if attributes.type == .symbolicLink {
          try writer.setSymbolicLinkTarget(bytes)
        } else {
          try writer.addInline(offset: 0, length: length, bytes: bytes)
        }
      }
    case .pieces(let pieces):
      for piece in pieces {
        guard piece.extent.offset >= unreadableEnd else {
          // Which of the two is right is not known.
          try writeUnreadable(
            piece.extent.offset..<piece.extent.end,
            "an extent at \(piece.extent.offset) overlaps one of an unknown type", of: attributes)
          continue
        }
        guard let checksums = piece.checksums else {
          try writer.addExtent(piece.extent, checksums: nil)
          continue
        }
        try checksums.withUnsafeBytes { try writer.addExtent(piece.extent, checksums: $0) }
      }
    }
  }
}
