import FrozenImage
import Glibc
import SystemPackage

/// Writing what was found.
extension TreeWalk {
  mutating func write(_ item: TreeItem, _ extent: Extent) throws {
    if item.key.object != open?.attributes.inode { try endNode() }
    if item.key.type == ItemType.inode {
      let inode = try inodeItem(item)
      guard inode.links > 0 else { return }
      try writer.beginNode(inode.attributes)
      open = inode
      return
    }
    // Items of an orphan, or that belong to no inode.
    guard let open else { return }
    switch item.key.type {
    case ItemType.extendedAttribute:
      for attribute in try entries(item) {
        try writer.addExtendedAttribute(name: attribute.name, value: attribute.data)
      }
    case ItemType.directoryIndex:
      for entry in try entries(item) { try add(entry, to: open.attributes) }
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
    progress.files += 1
    if inode.attributes.type == .regular { progress.bytes &+= inode.attributes.size }
  }

  private func entries(_ item: TreeItem) throws(BtrfsError) -> [DirectoryItem] {
    guard let entries = DirectoryItem.all(in: item.payload) else {
      throw BtrfsError(
        "an entry or attribute of inode \(item.key.object) of \(volume.subvolume.path) is torn")
    }
    return entries
  }

  private mutating func add(_ entry: DirectoryItem, to directory: NodeAttributes) throws {
    if entry.isSubvolume {
      let attributes = try emptyDirectory(entry.name, in: directory.inode)
      try writer.addEmptyDirectory(name: entry.name, attributes: attributes)
      return
    }
    guard let type = entry.type else {
      throw BtrfsError(
        "an entry of directory \(directory.inode) of \(volume.subvolume.path) is of a type that "
          + "is not known")
    }
    try writer.addEntry(name: entry.name, inode: entry.target, type: type)
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

  private mutating func write(_ extent: Extent, of attributes: NodeAttributes) throws {
    switch extent {
    case .skipped:
      break
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
        guard let checksums = piece.checksums else {
          try writer.addExtent(piece.extent, checksums: nil)
          continue
        }
        try checksums.withUnsafeBytes { try writer.addExtent(piece.extent, checksums: $0) }
      }
    }
  }
}
