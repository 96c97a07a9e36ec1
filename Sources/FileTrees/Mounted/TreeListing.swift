import CFileMap
package import DataSets
package import FrozenImage
import Glibc
package import SystemPackage

/// Every node of a tree once, in ascending order of inode number, in 16 bytes each.
///
/// The representation wants nodes in this order, so the tree is walked once to find
/// them, and each is opened by its handle afterwards. What cannot be looked at is listed
/// all the same.
struct TreeListing {
  struct Node {
    let handle: NodeHandle
    let type: FrozenImage.FileType
  }

  private(set) var nodes: [Node] = []
  /// Why nothing is known of an inode but its name: by inode number.
  private(set) var unknown: [UInt64: String] = [:]
  /// Why entries of a directory are missing: by inode number.
  private(set) var partial: [UInt64: String] = [:]
  /// For each directory the one with the entry that led to it: by inode numbers.
  private var parents: [UInt64: UInt64] = [:]

  /// Walks a tree. Directories are opened by handle, so neither their depth nor the
  /// length of their paths matters.
  ///
  /// - Throws: `StackError` when the top directory cannot be opened, or this process has
  ///   too little of something.
  init(of mount: TreeMount, top: NodeHandle) throws(StackError) {
    nodes = [Node(handle: top, type: .directory)]
    parents = [top.inode: top.inode]
    var directories = [top]
    var failed: [UInt64: (node: Node, reason: String)] = [:]
    while let directory = directories.popLast() {
      do throws(StackError) {
        try mount.visitEntries(of: directory) { (entry, descriptor) throws(StackError) in
          let node: Node
          do throws(Errno) {
            node = try Self.node(entry, in: descriptor, mount)
          } catch {
            let action =
              "look at the entry \(entry.text) of directory \(directory.inode) of \(mount.path)"
            guard error.concernsOneNode else { throw StackError(cannot: action, error) }
            let handle = NodeHandle(inode: entry.inode, generation: 0)
            failed[entry.inode] = (
              Node(handle: handle, type: entry.type ?? .regular),
              StackError(cannot: action, error).description
            )
            if entry.type == .directory { claim(entry.inode, for: directory) }
            return
          }
          nodes.append(node)
          if node.type == .directory, claim(node.handle.inode, for: directory) {
            directories.append(node.handle)
          }
        }
      } catch {
        guard error.errno?.concernsOneNode ?? true, directory != top || nodes.count > 1 else {
          throw error
        }
        partial[directory.inode] = partial[directory.inode] ?? error.description
      }
    }
    nodes.sort { $0.handle.inode < $1.handle.inode }
    removeHardLinks()
    add(failed)
  }

  /// Takes an entry of a directory that leads to another one.
  ///
  /// - Returns: whether it is the first that does.
  @discardableResult
  private mutating func claim(_ inode: UInt64, for directory: NodeHandle) -> Bool {
    if parents[inode] == nil {
      parents[inode] = directory.inode
      return true
    }
    partial[directory.inode] =
      partial[directory.inode] ?? "it has an entry for directory \(inode), and so has another one"
    return false
  }

  /// Whether a directory's entry for another one is the one that counts.
  func isEntry(for inode: UInt64, in directory: UInt64) -> Bool { parents[inode] == directory }

  private static func node(
    _ entry: DirectoryEntry, in descriptor: FileDescriptor, _ mount: TreeMount
  ) throws(Errno) -> Node {
    let handle = try NodeHandle(of: entry.name, in: descriptor)
    let type: FrozenImage.FileType
    if let told = entry.type { type = told } else { type = try mount.type(of: handle) }
    return Node(handle: handle, type: type)
  }

  /// Adds what could not be looked at, unless another name led to it.
  private mutating func add(_ failed: [UInt64: (node: Node, reason: String)]) {
    let missing = failed.filter { self[$0.key] == nil }
    guard !missing.isEmpty else { return }
    unknown = missing.mapValues(\.reason)
    nodes += missing.values.map(\.node)
    nodes.sort { $0.handle.inode < $1.handle.inode }
  }

  private mutating func removeHardLinks() {
    var last = 0
    for index in nodes.indices.dropFirst()
    where nodes[index].handle.inode != nodes[last].handle.inode {
      last += 1
      nodes[last] = nodes[index]
    }
    nodes.removeSubrange((last + 1)...)
  }

  /// The node with an inode number; `nil` when the tree has none.
  subscript(inode: UInt64) -> Node? {
    let found = nodes.partitioningIndex { $0.handle.inode >= inode }
    return found < nodes.count && nodes[found].handle.inode == inode ? nodes[found] : nil
  }
}

/// An entry of a directory, as `readdir` tells it.
package struct DirectoryEntry {
  /// The inode that it leads to.
  package let inode: UInt64
  /// `nil` where the file system keeps no types in directories.
  package let type: FrozenImage.FileType?
  /// Ends with a NUL.
  package let name: [CChar]

  /// For messages.
  package var text: String {
    String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension TreeMount {
  /// Calls `body` with all entries of a directory but "." and "..", and the directory,
  /// open.
  package func visitEntries(
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

  /// The type of a node.
  package func type(of node: NodeHandle) throws(Errno) -> FrozenImage.FileType {
    let file = try open(node, cfilemap_o_path)
    defer { try? file.close() }
    var status = stat()
    guard fstat(file.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
    return FrozenImage.FileType(mode: status.st_mode) ?? .regular
  }
}
