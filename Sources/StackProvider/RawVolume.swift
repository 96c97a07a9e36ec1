import DataSets
import FrozenImage
import LogicalRepresentation
import VolumeLayers

/// The view of an image's volume as one raw file, `data.img`, in a directory of its own.
struct RawVolume {
  /// The directory's inode number, above those of any file system that is read here
  /// (ext: 32 bits; XFS: 56 bits).
  static let firstInode: UInt64 = 1 << 62
  static let fileInode = firstInode + 1
  static let root = WrittenRoot(
    name: "volume", view: .volume, top: firstInode, first: firstInode)

  let layer: Layer
  let created: Timestamp
  /// Whoever froze the image.
  let owner: UInt32
  let group: UInt32

  func describe(into writer: inout RepresentationWriter) throws {
    try writer.beginNode(
      attributes(inode: Self.firstInode, mode: 0o040500, links: 2, size: 0, blocks: 0))
    try Array("data.img".utf8).withUnsafeBytes {
      try writer.addEntry(name: $0, inode: Self.fileInode, type: .regular)
    }
    try writer.endNode()
    let extents = layer.fileExtents(at: 0, of: 0..<layer.size, store: Stack.topStore)
    let allocated = extents.reduce(into: UInt64(0)) { sum, extent in
      if extent.source != .unwritten { sum += extent.length }
    }
    try writer.beginNode(
      attributes(
        inode: Self.fileInode, mode: 0o100400, links: 1, size: layer.size,
        blocks: (allocated + 511) / 512))
    // What reads as zeros is a hole: a copy of the file stays as sparse as it is.
    for extent in extents where extent.source != .unwritten {
      try writer.addExtent(extent, checksums: nil)
    }
    try writer.endNode()
  }

  private func attributes(
    inode: UInt64, mode: UInt32, links: UInt32, size: UInt64, blocks: UInt64
  ) -> NodeAttributes {
    NodeAttributes(
      inode: inode, generation: 0, mode: mode, links: links, owner: owner, group: group,
      deviceMajor: 0, deviceMinor: 0, size: size, blocks: blocks, accessed: created,
      modified: created, changed: created, created: created, inodeFlags: 0)
  }

  /// Reads the volume's bytes as a file's.
  ///
  /// - Throws: `StackError`.
  static func read(
    _ layer: Layer, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) -> Int {
    guard offset < layer.size else { return 0 }
    let count = Int(min(UInt64(buffer.count), layer.size - offset))
    try layer.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: offset)
    return count
  }
}
