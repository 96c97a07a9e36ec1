import CFuse3
import FrozenImage
import Glibc
import LogicalRepresentation
import SystemPackage

/// A directory's entries as a reader walks them: position 0 is ".", 1 is "..", and
/// from 2 on the tree's entries in their order. A position is what `telldir` gives;
/// it means the same for ever.
private let firstEntry: UInt64 = 2

extension FrozenFileSystem {
  /// Answers as many entries from a position on as fit into `size` bytes.
  ///
  /// - Parameter plus: with the attributes of each (readdirplus).
  func readDirectory(
    _ number: fuse_ino_t, size: Int, from offset: off_t, plus: Bool, _ reply: consuming Reply
  ) {
    guard let start = UInt64(exactly: offset) else { return reply.failure(.invalidArgument) }
    let directory = numbers.node(of: number)
    var pending: Reply? = reply
    buffers.withBuffer(of: size) { buffer in
      guard let reply = pending.take() else { return }
      do throws(Errno) {
        let used = try pack(directory, from: start, plus: plus, into: buffer, reply)
        reply.bytes(UnsafeRawBufferPointer(rebasing: buffer[..<used]))
      } catch {
        reply.failure(error)
      }
    }
  }

  /// Packs entries until the buffer is full or the directory ends; gives the bytes used.
  ///
  /// A directory of which a part could not be read when the image was frozen fails behind
  /// its last entry, so that nobody takes the names for all there are.
  private func pack(
    _ directory: NodeIndex, from start: UInt64, plus: Bool,
    into buffer: UnsafeMutableRawBufferPointer, _ reply: borrowing Reply
  ) throws(Errno) -> Int {
    var position = start
    var used = 0
    while true {
      let found: Item?
      do throws(Errno) {
        found = try self.item(at: position, of: directory)
      } catch {
        guard used > 0 else { throw error }
        return used
      }
      guard let item = found else { return used }
      guard let next = off_t(exactly: position + 1) else { throw .overflow }
      let free = UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
      let needed = try pack(item, next: next, plus: plus, into: free, reply)
      guard needed <= free.count else {
        // An empty answer would say that the directory ends here.
        guard used > 0 else { throw .invalidArgument }
        return used
      }
      used += needed
      position += 1
    }
  }

  /// What a position of a directory holds.
  private enum Item {
    /// "." or "..", with the directory that it names.
    case dots(StaticString, NodeIndex)
    case entry(Representation.Entry)
  }

  private func item(at position: UInt64, of directory: NodeIndex) throws(Errno) -> Item? {
    if position == 0 { return .dots(".", directory) }
    return try metadata { () throws(RepresentationError) -> Item? in
      if position == 1 {
        // Above the mount's root lies what the kernel knows, not the image.
        let parent = directory == numbers.root ? directory : try tree.parent(of: directory)
        return .dots("..", parent)
      }
      return try tree.entry(at: position - firstEntry, of: directory).map(Item.entry)
    }
  }

  private func pack(
    _ item: Item, next: off_t, plus: Bool, into free: UnsafeMutableRawBufferPointer,
    _ reply: borrowing Reply
  ) throws(Errno) -> Int {
    switch item {
    case .dots(let name, let node):
      // The kernel does not look these two up: number 0 tells it so.
      var dots = fuse_entry_param()
      dots.attr = try status(of: node)
      return name.withUTF8Buffer { bytes in
        withTerminated(UnsafeRawBufferPointer(bytes)) { name in
          plus
            ? reply.pack(name, dots, next: next, into: free)
            : reply.pack(name, dots.attr, next: next, into: free)
        }
      }
    case .entry(let entry):
      let node = try self.entry(entry)
      return withTerminated(entry.name) { name in
        plus
          ? reply.pack(name, node, next: next, into: free)
          : reply.pack(name, node.attr, next: next, into: free)
      }
    }
  }
}

extension FrozenFileSystem {
  /// What a listing tells of an entry. Of a node of which nothing could be read when the
  /// image was frozen, that is its type and inode number: number 0 has the kernel look it
  /// up when it is wanted, which fails.
  private func entry(_ entry: Representation.Entry) throws(Errno) -> fuse_entry_param {
    let inode = try metadata { () throws(RepresentationError) -> UInt64? in
      guard try tree.unreadableReason(of: entry.node, .node) != nil else { return nil }
      return try tree.inode(of: entry.node)
    }
    guard let inode else { return try self.entry(of: entry.node) }
    var listed = fuse_entry_param()
    listed.attr.st_mode = mode_t(entry.type.rawValue) << 12
    listed.attr.st_ino = ino_t(inode)
    return listed
  }
}

/// Calls `body` with a copy of a name that ends in NUL, as libfuse wants it.
private func withTerminated<Value>(
  _ name: UnsafeRawBufferPointer, _ body: (UnsafePointer<CChar>) -> Value
) -> Value {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: name.count + 1) { copy in
    let bytes = UnsafeMutableRawBufferPointer(copy)
    bytes.copyMemory(from: name)
    bytes[name.count] = 0
    return body(UnsafePointer(copy.baseAddress.unsafelyUnwrapped))
  }
}
