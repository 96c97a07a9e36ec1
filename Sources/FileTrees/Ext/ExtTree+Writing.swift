import DataSets
import FrozenImage
import LogicalRepresentation
import VolumeLayers

/// Writing what was marked.
extension ExtTree {
  /// Writes an inode; of one that cannot be read, that it is there.
  mutating func write(
    _ number: UInt32, into writer: inout RepresentationWriter, _ allowances: inout Allowances
  ) throws {
    progress.nodes += 1
    let inode: ExtInode
    do throws(StackError) {
      inode = try volume.inode(number)
      if let problem = problem(of: inode) { throw StackError(.unsupported, problem) }
    } catch {
      // No more is known of its type than whether an entry calls it a directory.
      try writer.addUnreadableNode(
        inode: UInt64(number), type: parents[number] == nil ? .regular : .directory,
        reason: error.description)
      return
    }
    try writer.beginNode(inode.attributes)
    try writeExtendedAttributes(of: inode, into: &writer)
    if inode.isEncrypted {
      try writer.markRest(
        reason: "inode \(number) of \(volume.title) is encrypted (fscrypt): its names and content "
          + "cannot be read")
    } else {
      try writeContent(of: inode, into: &writer, &allowances)
    }
    try writer.endNode()
    guard inode.attributes.type == .regular else { return }
    progress.files += 1
    progress.bytes &+= inode.attributes.size
  }

  private func writeExtendedAttributes(
    of inode: ExtInode, into writer: inout RepresentationWriter
  ) throws {
    let found = volume.attributes(of: inode)
    var problem = found.problem
    for attribute in found.attributes {
      var shown: (name: [UInt8], value: [UInt8])?
      do throws(StackError) {
        shown = try attribute.visible(of: inode.number, in: volume.title)
      } catch {
        problem = problem ?? error
      }
      if let shown { try writer.add(shown.name, shown.value) }
    }
    if let problem {
      try writer.markUnreadable(.extendedAttributes, reason: problem.description)
    }
  }

  private func writeContent(
    of inode: ExtInode, into writer: inout RepresentationWriter, _ allowances: inout Allowances
  ) throws {
    let before = allowances.files
    do {
      switch inode.attributes.type {
      case .directory: try writeEntries(of: inode, into: &writer, &allowances.directories)
      case .regular: try writeExtents(of: inode, into: &writer, &allowances.files)
      case .symbolicLink:
        try volume.symbolicLinkTarget(of: inode).withUnsafeBytes {
          try writer.setSymbolicLinkTarget($0)
        }
      case .fifo, .socket, .characterDevice, .blockDevice: break
      }
    } catch let damage as StackError {
      if allowances.pardons > 0 {
        allowances.pardons -= 1
        allowances.files = before
      }
      try writer.markRest(reason: damage.description)
    }
  }

  private func writeEntries(
    of inode: ExtInode, into writer: inout RepresentationWriter,
    _ allowance: inout ExtBlockAllowance
  ) throws {
    var seen: Set<UInt64> = []
    var linked: Set<UInt32> = []
    try volume.forEachEntry(of: inode, &allowance) { block in
      directoryBlocks[block] == inode.number && seen.insert(block).inserted
    } problem: {
      try writer.markUnreadable(.content, reason: $0.description)
    } _: { entry in
      if let problem = problem(of: entry, in: inode, &linked) {
        try writer.markUnreadable(.content, reason: problem)
        return
      }
      // What the inode says counts, as for the kernel.
      try writer.addEntry(
        name: entry.name, inode: UInt64(entry.inode), type: entry.type ?? .regular)
    }
  }

  /// Why an entry cannot be shown; `nil` when it can.
  ///
  /// - Parameter linked: the directories that this one has an entry for.
  private func problem(
    of entry: ExtEntry, in directory: ExtInode, _ linked: inout Set<UInt32>
  ) -> String? {
    func text(_ problem: String) -> String {
      "entry \(entry.text) of directory inode \(directory.number) of \(volume.title) leads to "
        + "inode \(entry.inode), \(problem): run e2fsck"
    }
    guard isMember(entry) else { return text("which is none of a file") }
    guard reached.contains(entry.inode) else { return text("which came a moment ago") }
    guard let parent = parents[entry.inode] else { return nil }
    let isOwn = parent == directory.number && entry.inode != Self.root
    return isOwn && linked.insert(entry.inode).inserted
      ? nil : text("a directory that another entry leads to")
  }

  private func writeExtents(
    of inode: ExtInode, into writer: inout RepresentationWriter,
    _ allowance: inout ExtBlockAllowance
  ) throws {
    if inode.flags & ExtInode.Flag.inlineData != 0 {
      let content = try volume.inlineContent(of: inode)
      guard !content.isEmpty else { return }
      try content.withUnsafeBytes {
        try writer.addInline(offset: 0, length: UInt64($0.count), bytes: $0)
      }
      return
    }
    let blockSize = UInt64(volume.blockSize)
    try volume.forEachRun(of: inode, &allowance) { run in
      let offset = run.start * blockSize
      let length = run.count * blockSize
      if run.isUnwritten {
        let extent = FileExtent(offset: offset, length: length, source: .unwritten)
        try writer.addExtent(extent, checksums: nil)
        return
      }
      let address = run.block * blockSize
      let extents = volume.layer.fileExtents(
        at: offset, of: address..<address + length, store: Stack.topStore)
      for extent in extents { try writer.addExtent(extent, checksums: nil) }
    }
  }
}
