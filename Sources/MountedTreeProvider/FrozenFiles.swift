import DataSets
import FileTrees
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import Synchronization
import SystemPackage
import VolumeLayers

/// Compares files of a tree with what was frozen, and reads them.
///
/// Keeps the last ones open: a file that is open keeps its blocks also when it is
/// deleted meanwhile.
final class FrozenFiles: Sendable {
  /// Most files that are kept open.
  private static let limit = 64

  private let tree: MountedTree
  private let openRepresentation: @Sendable () throws -> Representation
  private let state = Mutex(State())

  private struct State {
    var representation: Representation?
    var files = LeastRecentlyUsed<UInt64, OpenFile>(limit: FrozenFiles.limit)
    /// Why a file is not the frozen one any more; it never becomes so again.
    var changed: [UInt64: String] = [:]
  }

  /// A file of the image, open; closed when nobody uses it any more.
  final class OpenFile: Sendable {
    let descriptor: FileDescriptor
    let node: NodeIndex
    /// As it was frozen.
    let attributes: NodeAttributes

    init(_ descriptor: FileDescriptor, _ node: NodeIndex, _ attributes: NodeAttributes) {
      self.descriptor = descriptor
      self.node = node
      self.attributes = attributes
    }

    deinit { try? descriptor.close() }
  }

  init(of tree: MountedTree, _ representation: @escaping @Sendable () throws -> Representation) {
    self.tree = tree
    openRepresentation = representation
  }

  /// What was described of the image; opened when it is first needed.
  func representation() throws -> Representation {
    if let known = state.withLock({ $0.representation }) { return known }
    let opened = try openRepresentation()
    state.withLock { $0.representation = opened }
    return opened
  }

  /// Opens a regular file of the image if it is still there.
  ///
  /// - Throws: `FileChange` when it is not the frozen one.
  func open(_ inode: UInt64) throws -> OpenFile {
    if let known = state.withLock({ $0.files.value(for: inode) }) { return known }
    let representation = try representation()
    guard let node = try representation.node(withInode: inode, inRoot: 0) else {
      throw StackError(.notFound, "the image has no inode \(inode)")
    }
    let attributes = try representation.sourceAttributes(of: node)
    guard attributes.type == .regular, let generation = UInt32(exactly: attributes.generation)
    else { throw StackError(.invalid, "inode \(inode) of the image is no regular file") }
    let handle = NodeHandle(inode: inode, generation: generation)
    let descriptor: FileDescriptor
    do {
      descriptor = try tree.mount.open(handle, type: .regular)
    } catch {
      guard error == .staleNFSFileHandle || error == .noSuchFileOrDirectory else { throw error }
      throw FileChange("it was deleted")
    }
    let file = OpenFile(descriptor, node, attributes)
    state.withLock { $0.files.keep(file, for: inode) }
    return file
  }

  /// Why a file is not, or is not known to be, what was frozen; `nil` when its
  /// attributes and the extents of these ranges are.
  ///
  /// - Parameter layer: what the file system's device is; `nil` to leave the extents
  ///   out, which say nothing about bytes that come through the kernel.
  func difference(
    of inode: UInt64, in ranges: [Range<UInt64>], on layer: Layer?
  ) -> String? {
    if let known = state.withLock({ $0.changed[inode] }) { return known }
    let place = "inode \(inode) of \(tree.image.path)"
    do {
      try compare(open(inode), in: ranges, on: layer)
      return nil
    } catch let change as FileChange {
      let reason = "\(place) was changed since it was frozen: \(change.reason)"
      state.withLock { $0.changed[inode] = reason }
      return reason
    } catch {
      return "\(place) cannot be compared with what was frozen: \(error)"
    }
  }

  private func compare(
    _ file: OpenFile, in ranges: [Range<UInt64>], on layer: Layer?
  ) throws {
    try compareAttributes(of: file)
    guard let layer else { return }
    let content = FileContent(
      layer: layer, isReadOnly: tree.image.promise == .readOnly, kind: tree.kind)
    let representation = try representation()
    for range in ranges {
      var expected = try representation.extents(of: file.node, in: range)
        .map(\.withoutHeapOffset)
      expected = expected.reduce(into: []) { joined, extent in
        if let last = joined.last, let both = last.joined(with: extent) {
          joined[joined.count - 1] = both
        } else {
          joined.append(extent)
        }
      }
      var found: [FileExtent] = []
      try content.visit(file.descriptor, file.attributes, in: range) { found.append($0) }
      guard found == expected else { throw FileChange("its extents are others") }
    }
    // Whoever changed it while its extents were told has set the time by now.
    try compareAttributes(of: file)
  }

  private func compareAttributes(of file: OpenFile) throws {
    let handle = try NodeHandle(of: file.descriptor)
    let now = try tree.walk.frozenAttributes(of: file.descriptor, handle)
    guard now.isUnchanged(since: file.attributes) else {
      throw FileChange("its size, times or flags are others")
    }
  }

  /// Reads bytes of a regular file through the kernel.
  ///
  /// - Returns: the count of bytes, fewer than asked for only at the file's end.
  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    try open(inode).descriptor.fill(buffer, at: offset)
  }
}

/// A file is not the one that was frozen.
struct FileChange: Error {
  let reason: String

  init(_ reason: String) {
    self.reason = reason
  }
}

extension FileExtent {
  /// Comparable with what the kernel tells, which knows no heap.
  fileprivate var withoutHeapOffset: FileExtent {
    guard case .inline = source else { return self }
    return FileExtent(offset: offset, length: length, source: .inline(heapOffset: 0))
  }
}
