import CFileMap
import DataSets
import FileTrees
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// Copies a tree within one XFS, file by file, all data shared.
///
/// Directories are opened by handle, so neither their depth nor the length of their
/// paths matters. Memory holds some 30 bytes for each file, 50 for each directory and for each
/// file with several names, and the names of one directory.
struct ReflinkCopy: ~Copyable {
  /// Times that a file is cloned again because it was changed meanwhile.
  private static let attempts = 8

  let mount: TreeMount
  private let source: NodeHandle
  private let target: NodeHandle
  /// A directory that is not copied: floe's own.
  private let leftOut: NodeHandle
  /// When the copying began, by the file system's own clock.
  let begin: Timestamp

  private struct Pair {
    let source: NodeHandle
    let target: NodeHandle
  }

  private var directories: [Pair] = []
  var files: [NodeHandle] = []
  /// Inode numbers of which a copy notes that it is their copy: only the first one does. A file
  /// that is moved while the tree is copied may be met twice.
  private var noted: Set<UInt64> = []
  /// Copies of inodes that have several names.
  private var linked: [NodeHandle: NodeHandle] = [:]
  var progress = FreezeProgress()

  /// - Parameters:
  ///   - mount: of both trees.
  ///   - target: an empty directory, made a moment ago.
  /// - Throws: `Errno` when it cannot be looked at.
  init(
    on mount: TreeMount, from source: NodeHandle, to target: NodeHandle,
    leavingOut leftOut: NodeHandle
  ) throws(Errno) {
    let directory = try mount.open(target, type: .directory)
    defer { try? directory.close() }
    let made = try FileStatus(of: directory, generation: target.generation).attributes
    begin = made.created ?? made.changed
    self.mount = mount
    self.source = source
    self.target = target
    self.leftOut = leftOut
  }

  /// Copies everything, and makes sure that it is on the media.
  mutating func run(_ report: (FreezeProgress) -> Void) throws(StackError) {
    directories = [Pair(source: source, target: target)]
    var next = 0
    while next < directories.count {
      try copyEntries(of: directories[next], report)
      next += 1
    }
    // Only now that nothing is made in a directory any more do its times stay, and only
    // now may a default ACL of its own stand in it.
    for pair in directories {
      do throws(Errno) {
        let source = try mount.open(pair.source, type: .directory)
        defer { try? source.close() }
        let target = try mount.open(pair.target, type: .directory)
        defer { try? target.close() }
        try copyMetadata(
          of: source, FileStatus(of: source, generation: 0).attributes, to: target,
          notes: noted.insert(pair.source.inode).inserted)
      } catch {
        // Deleted meanwhile: it has the owner and the mode that it had when it was met.
        if error == .staleNFSFileHandle, pair.source != source { continue }
        throw StackError(
          cannot: "copy the metadata of directory \(pair.source.inode) of \(mount.path)", error)
      }
    }
    progress.nodes += UInt64(directories.count)
    report(progress)
    try sync()
  }

  /// Makes all files and directories immutable, the top directory last: it says that the
  /// copy is complete.
  mutating func makeImmutable() throws(StackError) {
    for file in files { try makeImmutable(file, type: .regular) }
    for pair in directories.reversed() where pair.target != target {
      try makeImmutable(pair.target, type: .directory)
    }
    try sync()
    try makeImmutable(target, type: .directory)
    try sync()
  }

  private func makeImmutable(
    _ node: NodeHandle, type: TreeMount.FileFormat
  ) throws(StackError) {
    do throws(Errno) {
      let file = try mount.open(node, type: type)
      defer { try? file.close() }
      guard cfilemap_set_immutable(file.rawValue, 1) == 0 else { throw Errno(rawValue: errno) }
    } catch {
      throw StackError(cannot: "make inode \(node.inode) of \(mount.path) immutable", error)
    }
  }

  private func sync() throws(StackError) {
    guard cfilemap_sync(mount.top.rawValue) == 0 else {
      throw StackError(cannot: "write \(mount.path) to its device", Errno(rawValue: errno))
    }
  }
}

// MARK: One entry

extension ReflinkCopy {
  private mutating func copyEntries(
    of pair: Pair, _ report: (FreezeProgress) -> Void
  ) throws(StackError) {
    let target: FileDescriptor
    do throws(Errno) {
      target = try mount.open(pair.target, type: .directory)
    } catch {
      throw StackError(cannot: "open the copy of directory \(pair.source.inode)", error)
    }
    defer { try? target.close() }
    var names: [DirectoryEntry] = []
    do throws(StackError) {
      try mount.visitEntries(of: pair.source) { (entry, _) in names.append(entry) }
    } catch {
      // Deleted after its entry was read: it is as if it had been so before.
      if isGone(pair.source) { return }
      guard error.errno?.concernsOneNode ?? true, pair.source != source else { throw error }
      try mark(.content, of: target, error)
    }
    let directory: FileDescriptor
    do throws(Errno) {
      directory = try mount.open(pair.source, type: .directory)
    } catch {
      if error == .staleNFSFileHandle { return }
      if error.concernsOneNode, pair.source != source { return }
      throw StackError(cannot: "open directory \(pair.source.inode) of \(mount.path)", error)
    }
    defer { try? directory.close() }
    for entry in names {
      if Interruption.signal != nil { throw StackError(.interrupted, "interrupted") }
      do throws(Errno) {
        try copy(entry, in: directory, to: target)
      } catch {
        // Deleted since the directory was listed.
        if error == .noSuchFileOrDirectory || error == .staleNFSFileHandle { continue }
        // Listed twice, as a name may be that was moved meanwhile.
        if error == .fileExists { continue }
        let place = "the entry \(entry.text) of directory \(pair.source.inode) of \(mount.path)"
        let failure = StackError(cannot: "copy \(place)", error)
        guard error.concernsOneNode else { throw failure }
        try makePlaceholder(for: entry, in: target, failure)
      }
      if progress.nodes.isMultiple(of: 256) { report(progress) }
    }
  }

  private func isGone(_ directory: NodeHandle) -> Bool {
    do throws(Errno) {
      let found = try mount.open(directory, type: .directory)
      try? found.close()
    } catch {
      return error == .staleNFSFileHandle
    }
    return false
  }

  private mutating func copy(
    _ entry: DirectoryEntry, in directory: FileDescriptor, to target: FileDescriptor
  ) throws(Errno) {
    let node = try NodeHandle(of: entry.name, in: directory)
    guard node != leftOut else { return }
    if let copied = linked[node] {
      try link(copied, as: entry.name, in: target)
      return
    }
    // Not the type that the entry tells: its name may be another node's by now.
    let type = try mount.type(of: node)
    let file = try mount.open(node, type: TreeMount.FileFormat(type))
    defer { try? file.close() }
    let attributes = try FileStatus(of: file, generation: node.generation).attributes
    if type == .directory {
      guard mkdirat(target.rawValue, entry.name, 0o700) == 0 else { throw Errno(rawValue: errno) }
      let copied = try NodeHandle(of: entry.name, in: target)
      try prepare(copied, attributes)
      directories.append(Pair(source: node, target: copied))
      return
    }
    let copied: NodeHandle
    let isFirst = noted.insert(node.inode).inserted
    if type == .regular {
      copied = try clone(file, node, as: entry.name, in: target, notes: isFirst)
      files.append(copied)
    } else {
      copied = try makeSpecial(file, attributes, as: entry.name, in: target, notes: isFirst)
    }
    if attributes.links > 1 { linked[node] = copied }
    progress.nodes += 1
    if type == .regular {
      progress.files += 1
      progress.bytes &+= attributes.size
    }
  }

  /// Gives a directory what does not matter to what is made in it. The rest follows when
  /// it is full, if the original is still there.
  private func prepare(_ copied: NodeHandle, _ attributes: NodeAttributes) throws(Errno) {
    let directory = try mount.open(copied, type: .directory)
    defer { try? directory.close() }
    guard fchown(directory.rawValue, attributes.owner, attributes.group) == 0,
      fchmod(directory.rawValue, attributes.mode & 0o7777) == 0
    else { throw Errno(rawValue: errno) }
  }

  private func link(
    _ copied: NodeHandle, as name: [CChar], in target: FileDescriptor
  ) throws(Errno) {
    let file = try mount.open(copied, cfilemap_o_path)
    defer { try? file.close() }
    let path = "/proc/self/fd/\(file.rawValue)"
    guard linkat(AT_FDCWD, path, target.rawValue, name, AT_SYMLINK_FOLLOW) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Clones a file's data, again when the file was changed between the looks at its
  /// metadata before and after, up to a limit: a file that is written all the time has
  /// data of one moment and metadata of the one before.
  private func clone(
    _ file: FileDescriptor, _ node: NodeHandle, as name: [CChar], in target: FileDescriptor,
    notes: Bool
  ) throws(Errno) -> NodeHandle {
    let number = openat(
      target.rawValue, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    let copied = FileDescriptor(rawValue: number)
    defer { try? copied.close() }
    var before = try FileStatus(of: file, generation: node.generation).attributes
    for _ in 0..<Self.attempts {
      guard ftruncate(number, 0) == 0 else { throw Errno(rawValue: errno) }
      guard cfilemap_clone(number, file.rawValue) == 0 else {
        let error = Errno(rawValue: errno)
        guard error.concernsOneNode else { throw error }
        try makeEmpty(copied, for: file, before, notes: notes, cause: error)
        break
      }
      try copyMetadata(of: file, before, to: copied, notes: notes)
      let after = try FileStatus(of: file, generation: node.generation).attributes
      if after.isUnchanged(since: before) { break }
      before = after
    }
    return try NodeHandle(of: copied)
  }

  /// Makes a link, device node, FIFO or socket.
  private func makeSpecial(
    _ file: FileDescriptor, _ attributes: NodeAttributes, as name: [CChar],
    in target: FileDescriptor, notes: Bool
  ) throws(Errno) -> NodeHandle {
    if attributes.type == .symbolicLink {
      guard symlinkat(try file.linkTarget(), target.rawValue, name) == 0 else {
        throw Errno(rawValue: errno)
      }
    } else {
      let device = DeviceNumber(
        major: attributes.deviceMajor, minor: attributes.deviceMinor)
      let mode = attributes.mode & UInt32(S_IFMT) | 0o600
      guard mknodat(target.rawValue, name, mode, dev_t(device.packed)) == 0 else {
        throw Errno(rawValue: errno)
      }
    }
    let copied = try NodeHandle(of: name, in: target)
    let made = try mount.open(copied, cfilemap_o_path)
    defer { try? made.close() }
    try copyMetadata(of: file, attributes, to: made, notes: notes)
    return copied
  }
}
