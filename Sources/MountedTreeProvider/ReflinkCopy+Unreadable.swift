import DataSets
import FileTrees
import FrozenImage
import Glibc
import LogicalRepresentation
import SystemPackage

/// What stands in a copy for what cannot be copied.
extension ReflinkCopy {
  /// Marks a part of a copy.
  func mark(
    _ part: UnreadablePart, of file: FileDescriptor, _ reason: StackError
  ) throws(StackError) {
    do throws(Errno) {
      try UnreadableMarks.set(part, of: file, reason: reason.description)
    } catch {
      throw StackError(cannot: "note that it was impossible to copy something (\(reason))", error)
    }
  }

  /// Makes what stands for an entry that could not be copied: empty, and marked so.
  mutating func makePlaceholder(
    for entry: DirectoryEntry, in target: FileDescriptor, _ reason: StackError
  ) throws(StackError) {
    do throws(Errno) {
      // What had been made before it failed.
      for flags in [0, AT_REMOVEDIR] { unlinkat(target.rawValue, entry.name, flags) }
      let isDirectory = entry.type == .directory
      let mode = mode_t(isDirectory ? S_IFDIR | 0o700 : S_IFREG | 0o600)
      let made =
        isDirectory
        ? mkdirat(target.rawValue, entry.name, mode)
        : mknodat(target.rawValue, entry.name, mode, 0)
      guard made == 0 else { throw Errno(rawValue: errno) }
      let copied = try NodeHandle(of: entry.name, in: target)
      let file = try mount.open(copied, type: isDirectory ? .directory : .regular)
      defer { try? file.close() }
      try UnreadableMarks.set(.node, of: file, reason: reason.description)
      files.append(copied)
    } catch {
      throw StackError(cannot: "note that it was impossible to copy something (\(reason))", error)
    }
    progress.nodes += 1
  }

  /// Makes the copy of a file that shares no blocks, as an active swap file: it has its
  /// size and its metadata, and none of its bytes.
  func makeEmpty(
    _ copied: FileDescriptor, for file: FileDescriptor, _ attributes: NodeAttributes,
    notes: Bool, cause: Errno
  ) throws(Errno) {
    guard ftruncate(copied.rawValue, off_t(clamping: attributes.size)) == 0 else {
      throw Errno(rawValue: errno)
    }
    try copyMetadata(of: file, attributes, to: copied, notes: notes)
    let reason = StackError(cannot: "share the blocks of inode \(attributes.inode)", cause)
    try UnreadableMarks.set(.content, of: copied, reason: reason.description)
  }
}
