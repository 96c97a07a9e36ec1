import CFileMap
import FrozenImage
import Glibc
import SystemPackage

/// Every node of a tree once, in ascending order of inode number, in 16 bytes each.
///
/// The representation wants nodes in this order, so the tree is walked once to find
/// them, and each is opened by its handle afterwards.
struct TreeListing {
  struct Node {
    let handle: NodeHandle
    let type: FrozenImage.FileType
  }

  private(set) var nodes: [Node] = []

  /// Walks a tree. Directories are opened by handle, so neither their depth nor the
  /// length of their paths matters.
  init(of mount: TreeMount, top: NodeHandle) throws(StackError) {
    nodes = [Node(handle: top, type: .directory)]
    var directories = [top]
    var seen: Set<UInt64> = [top.inode]
    while let directory = directories.popLast() {
      try mount.visitEntries(of: directory) { (entry, descriptor) throws(StackError) in
        let node = try Self.node(entry, in: descriptor, directory, mount)
        nodes.append(node)
        guard node.type == .directory else { return }
        guard seen.insert(node.handle.inode).inserted else {
          throw StackError("two entries lead to directory \(node.handle.inode) of \(mount.path)")
        }
        directories.append(node.handle)
      }
    }
    nodes.sort { $0.handle.inode < $1.handle.inode }
    removeHardLinks()
  }

  private static func node(
    _ entry: DirectoryEntry, in descriptor: FileDescriptor, _ directory: NodeHandle,
    _ mount: TreeMount
  ) throws(StackError) -> Node {
    do throws(Errno) {
      let handle = try NodeHandle(of: entry.name, in: descriptor)
      let type: FrozenImage.FileType
      if let told = entry.type { type = told } else { type = try mount.type(of: handle) }
      return Node(handle: handle, type: type)
    } catch {
      throw StackError(
        cannot: "look at the entry \(entry.text) of directory \(directory.inode) of \(mount.path)",
        error)
    }
  }

  private mutating func removeHardLinks() {
    var last = 0
    for index in nodes.indices.dropFirst() where nodes[index].handle != nodes[last].handle {
      last += 1
      nodes[last] = nodes[index]
    }
    nodes.removeSubrange((last + 1)...)
  }

  /// The node with an inode number; `nil` when the tree has none.
  subscript(inode: UInt64) -> Node? {
    var low = 0
    var high = nodes.count
    while low < high {
      let middle = (low + high) / 2
      let found = nodes[middle]
      if found.handle.inode == inode { return found }
      if found.handle.inode < inode { low = middle + 1 } else { high = middle }
    }
    return nil
  }
}

/// An entry of a directory, as `readdir` tells it.
struct DirectoryEntry {
  let inode: UInt64
  /// `nil` where the file system keeps no types in directories.
  let type: FrozenImage.FileType?
  /// Ends with a NUL.
  let name: [CChar]

  /// For messages.
  var text: String {
    String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension TreeMount {
  /// Calls `body` with all entries of a directory but "." and "..", and the directory,
  /// open.
  func visitEntries(
    of directory: NodeHandle,
    _ body: (DirectoryEntry, FileDescriptor) throws(StackError) -> Void
  ) throws(StackError) {
    let descriptor: FileDescriptor
    do throws(Errno) {
      descriptor = try open(directory, type: .directory)
    } catch {
      throw StackError(cannot: "open directory \(directory.inode) of \(path)", error)
    }
    guard let stream = fdopendir(descriptor.rawValue) else {
      let error = Errno(rawValue: errno)
      try? descriptor.close()
      throw StackError(cannot: "read directory \(directory.inode) of \(path)", error)
    }
    // Closes the descriptor too.
    defer { closedir(stream) }
    while true {
      errno = 0
      guard let found = readdir(stream) else {
        guard errno == 0 else {
          throw StackError(
            cannot: "read directory \(directory.inode) of \(path)", Errno(rawValue: errno))
        }
        return
      }
      let name = withUnsafeBytes(of: &found.pointee.d_name) { bytes in
        bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
      }
      guard name != [0x2E, 0], name != [0x2E, 0x2E, 0] else { continue }
      let entry = DirectoryEntry(
        inode: UInt64(found.pointee.d_ino),
        type: FrozenImage.FileType(rawValue: found.pointee.d_type),
        name: name)
      try body(entry, descriptor)
    }
  }

  func type(of node: NodeHandle) throws(Errno) -> FrozenImage.FileType {
    let file = try open(node, cfilemap_o_path)
    defer { try? file.close() }
    var status = stat()
    guard fstat(file.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
    return FrozenImage.FileType(mode: status.st_mode) ?? .regular
  }
}
