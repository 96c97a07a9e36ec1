import CFileMap
package import DataSets
import FrozenImage
import Glibc
package import SystemPackage

/// A private mount of a directory, held open: files are found on it by inode number,
/// nothing that is mounted below the directory covers anything, and reading leaves no
/// access times behind.
///
/// It keeps the file system in use for as long as it lives; the directory itself is
/// held as well, so that `umount` says so.
package final class TreeMount: Sendable {
  /// The top directory, on the private mount.
  package let top: FileDescriptor
  /// The same on the mount where the user sees it.
  private let visible: FileDescriptor?
  private let mount: FileDescriptor
  /// The kind of file system.
  package let kind: MountedKind
  /// For messages.
  package let path: String

  /// - Parameters:
  ///   - visible: the directory, open; closed with this object, and on failure.
  ///   - mayWrite: whether files are going to be made through it, so that a mount that
  ///     is read-only has to stay so.
  package init(
    _ visible: FileDescriptor, kind: MountedKind, path: String, mayWrite: Bool = false
  ) throws(StackError) {
    let number = cfilemap_private_mount(visible.rawValue, mayWrite ? 0 : 1)
    guard number >= 0 else {
      let error = Errno(rawValue: errno)
      try? visible.close()
      throw StackError(
        "cannot make a private mount of \(path), which takes root and Linux 5.12", cause: error)
    }
    let mount = FileDescriptor(rawValue: number)
    let top = openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard top >= 0 else {
      let error = Errno(rawValue: errno)
      try? mount.close()
      try? visible.close()
      throw StackError(cannot: "open \(path)", error)
    }
    self.top = FileDescriptor(rawValue: top)
    self.visible = visible
    self.mount = mount
    self.kind = kind
    self.path = path
  }

  /// Takes a file system that is mounted nowhere else.
  ///
  /// - Parameter mount: of its top directory, open; closed with this object, and on failure.
  package init(
    only mount: FileDescriptor, kind: MountedKind, path: String
  ) throws(StackError) {
    let top = openat(mount.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard top >= 0 else {
      let error = Errno(rawValue: errno)
      try? mount.close()
      throw StackError(cannot: "open the top directory of \(path)", error)
    }
    self.top = FileDescriptor(rawValue: top)
    visible = nil
    self.mount = mount
    self.kind = kind
    self.path = path
  }

  deinit {
    try? top.close()
    try? mount.close()
    try? visible?.close()
  }

  /// Whether the file system itself is read-only, whatever a mount of it is.
  package func isReadOnly() throws(StackError) -> Bool {
    var type: Int64 = 0
    var isReadOnly: Int32 = 0
    guard cfilemap_file_system(top.rawValue, &type, &isReadOnly) == 0 else {
      throw StackError(cannot: "look at \(path)", Errno(rawValue: errno))
    }
    return isReadOnly != 0
  }

  /// Opens an inode. The caller closes the descriptor.
  ///
  /// - Throws: `Errno`; `staleNFSFileHandle` when it is gone.
  package func open(_ node: NodeHandle, _ flags: Int32) throws(Errno) -> FileDescriptor {
    let number = cfilemap_open_inode(
      top.rawValue, kind.isXFS ? 1 : 0, node.inode, node.generation,
      flags | O_CLOEXEC | O_NOFOLLOW)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    return FileDescriptor(rawValue: number)
  }

  /// Opens a node as its type asks for: what has content for reading, anything else
  /// only to be looked at.
  package func open(_ node: NodeHandle, type: FileFormat) throws(Errno) -> FileDescriptor {
    switch type {
    case .regular: try open(node, O_RDONLY | O_NONBLOCK)
    case .directory: try open(node, O_RDONLY | O_DIRECTORY)
    case .other: try open(node, cfilemap_o_path)
    }
  }

  /// How a node is opened.
  package enum FileFormat {
    case regular
    case directory
    case other
  }
}

/// Names an inode of a file system for as long as it is not freed.
package struct NodeHandle: Hashable {
  /// The inode number.
  package let inode: UInt64
  /// Another one when the inode number is used again.
  package let generation: UInt32

  package init(inode: UInt64, generation: UInt32) {
    self.inode = inode
    self.generation = generation
  }

  /// An open file's.
  package init(of file: FileDescriptor) throws(Errno) {
    try self.init(of: [0], in: file)
  }

  /// A directory's entry's.
  ///
  /// - Parameter name: ends with a NUL.
  package init(of name: [CChar], in directory: FileDescriptor) throws(Errno) {
    var inode: UInt64 = 0
    var generation: UInt32 = 0
    guard cfilemap_identify(directory.rawValue, name, &inode, &generation) == 0 else {
      throw Errno(rawValue: errno)
    }
    self.init(inode: inode, generation: generation)
  }
}

extension Errno {
  /// Whether the error says something of the one node that a call was about, rather than
  /// of this process or the whole file system.
  package var concernsOneNode: Bool {
    switch self {
    case .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .interrupted, .noSpace,
      .diskQuotaExceeded, .readOnlyFileSystem:
      false
    default: true
    }
  }
}
