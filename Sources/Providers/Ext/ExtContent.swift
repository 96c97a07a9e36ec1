import FrozenImage

/// What of a file needs no place on a medium, and how a file is called.
extension ExtVolume {
  /// The content of an inline file, as far as it is kept; what is missing of its size
  /// reads as zeros.
  func inlineContent(of inode: ExtInode) throws(StackError) -> [UInt8] {
    let inline = try inlineBytes(of: inode)
    let kept = inline.inInode + inline.inAttribute
    return Array(kept.prefix(Int(clamping: inode.attributes.size)))
  }

  func symbolicLinkTarget(of inode: ExtInode) throws -> [UInt8] {
    let size = Int(clamping: inode.attributes.size)
    if inode.isFastSymbolicLink { return Array(inode.blockBytes.prefix(size)) }
    if inode.flags & ExtInode.Flag.inlineData != 0 { return try inlineContent(of: inode) }
    // One block, and a NUL behind the target (`ext4_symlink`, fs/ext4/namei.c).
    var target: [UInt8]?
    var allowance = ExtBlockAllowance(self)
    try forEachRun(of: inode, &allowance) { run in
      guard run.start == 0, !run.isUnwritten, size <= blockSize else { return }
      target = try layer.bytes(at: run.block * UInt64(blockSize), count: size)
    }
    guard let target else {
      throw StackError("the symbolic link inode \(inode.number) of \(title) has no target")
    }
    return target
  }

  /// The path of the first entry found that leads to an inode, from the root; for
  /// messages about single files.
  func path(of inode: UInt32) throws -> String {
    var allowance = ExtBlockAllowance(self)
    var parents: [UInt32: (directory: UInt32, name: String)] = [:]
    var level = [ExtTree.root]
    while !level.isEmpty, parents[inode] == nil {
      var next: [UInt32] = []
      for number in level {
        let directory = try self.inode(number)
        guard directory.attributes.type == .directory else { continue }
        try forEachEntry(of: directory, &allowance) { entry in
          guard parents[entry.inode] == nil, entry.inode != ExtTree.root else { return }
          let isDirectory = entry.type == .directory || entry.type == nil
          guard isDirectory || entry.inode == inode else { return }
          parents[entry.inode] = (number, entry.text)
          if isDirectory { next.append(entry.inode) }
        }
      }
      level = next
    }
    var path = ""
    var place = inode
    while let (directory, name) = parents[place] {
      path = "/" + name + path
      place = directory
    }
    return path.isEmpty ? "/" : path
  }
}
