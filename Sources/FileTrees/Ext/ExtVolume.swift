import CExt2
import DataSets
import FrozenImage
import VolumeLayers

/// A file system that libext2fs has open, read-only. Its blocks are checked where the
/// file system has checksums for them.
///
/// libext2fs does not let several threads use one: see `ExtFileSystem`, which owns it.
final class ExtVolume {
  let layer: Layer
  let superblock: ExtSuperblock
  private let channel: ExtChannel
  private let fileSystem: ext2_filsys

  var title: String { layer.title }

  /// - Throws: `StackError` when libext2fs refuses the superblock or the group
  ///   descriptors.
  init(_ layer: Layer, _ superblock: ExtSuperblock) throws(StackError) {
    _ = Self.messages
    let channel = ExtChannel(layer)
    var opened: ext2_filsys?
    let code = cext2_open(
      { context, offset, buffer, count in
        guard let context, let buffer, let count = Int(exactly: count) else { return -1 }
        let channel = Unmanaged<ExtChannel>.fromOpaque(context).takeUnretainedValue()
        let bytes = UnsafeMutableRawBufferPointer(start: buffer, count: count)
        return channel.read(into: bytes, at: offset) ? 0 : -1
      }, Unmanaged.passUnretained(channel).toOpaque(), &opened)
    guard code == 0, let opened else {
      throw channel.takeFailure() ?? Self.error("open the file system of \(layer.title)", code)
    }
    self.layer = layer
    self.superblock = superblock
    self.channel = channel
    fileSystem = opened
    for group in 0..<groups where ext2fs_group_desc_csum_verify(opened, group) == 0 {
      throw StackError(
        .malformed, "the checksum of block group \(group) of \(title) is wrong: run e2fsck")
    }
  }

  deinit {
    ext2fs_free(fileSystem)
  }

  /// The texts of libext2fs's errors.
  private static let messages: Void = initialize_ext2_error_table()

  private static func error(_ action: String, _ code: errcode_t) -> StackError {
    let reason = error_message(code).map { String(cString: $0) } ?? "error \(code)"
    return StackError(.failed, "cannot \(action): \(reason)")
  }

  private func require(_ code: errcode_t, _ action: @autoclosure () -> String) throws(StackError) {
    let failure = channel.takeFailure()
    guard code != 0 else { return }
    if let failure { throw StackError(.failed, "cannot \(action()): \(failure)") }
    throw Self.error(action(), code)
  }

  // MARK: Blocks

  /// Bytes.
  var blockSize: Int { Int(superblock.blockSize) }

  /// Whether a run of blocks lies inside the file system.
  func contains(_ block: UInt64, count: UInt64) -> Bool {
    block >= UInt64(superblock.firstDataBlock) && block > 0 && count <= superblock.blocks
      && block <= superblock.blocks - count
  }

  private func requireBlock(_ block: UInt64, of inode: UInt32) throws(StackError) {
    guard contains(block, count: 1) else {
      throw StackError(
        .malformed, "inode \(inode) of \(title) has block \(block), which does not exist")
    }
  }

  /// An inode.
  func inode(_ number: UInt32) throws(StackError) -> ExtInode {
    var bytes = [UInt8](repeating: 0, count: superblock.inodeSize)
    // Its fields come in the machine's byte order; Swift knows Linux on little-endian
    // machines alone.
    let code = bytes.withUnsafeMutableBytes {
      ext2fs_read_inode_full(
        fileSystem, number, $0.assumingMemoryBound(to: ext2_inode.self).baseAddress,
        Int32($0.count))
    }
    try require(code, "read inode \(number) of \(title)")
    return ExtInode(bytes, number: number, of: superblock)
  }

  /// A block of a file's indirect block map.
  func indirectBlock(_ block: UInt64, of inode: UInt32) throws(StackError) -> [UInt8] {
    try requireBlock(block, of: inode)
    var bytes = [UInt8](repeating: 0, count: blockSize)
    let isRead = bytes.withUnsafeMutableBytes {
      channel.read(into: $0, at: block * UInt64($0.count))
    }
    try require(
      isRead ? 0 : errcode_t(EIO), "read block \(block) of the map of inode \(inode) of \(title)")
    return bytes
  }

  /// A block of a directory, its checksum verified.
  func directoryBlock(_ block: UInt64, of inode: UInt32) throws(StackError) -> [UInt8] {
    try requireBlock(block, of: inode)
    var bytes = [UInt8](repeating: 0, count: blockSize)
    let code = bytes.withUnsafeMutableBytes {
      ext2fs_read_dir_block4(fileSystem, block, $0.baseAddress, 0, inode)
    }
    try require(code, "read block \(block) of directory inode \(inode) of \(title)")
    return bytes
  }

  /// A block of extended attributes, its checksum and header verified.
  func attributeBlock(_ block: UInt64, of inode: UInt32) throws(StackError) -> [UInt8] {
    try requireBlock(block, of: inode)
    var bytes = [UInt8](repeating: 0, count: blockSize)
    let code = bytes.withUnsafeMutableBytes {
      ext2fs_read_ext_attr3(fileSystem, block, $0.baseAddress, inode)
    }
    try require(code, "read the extended attributes of inode \(inode) of \(title)")
    return bytes
  }

  // MARK: Block groups

  var groups: UInt32 { fileSystem.pointee.group_desc_count }
  var groupDescriptorBlocks: UInt64 { UInt64(fileSystem.pointee.desc_blocks) }
  var inodeBlocksPerGroup: UInt64 { UInt64(fileSystem.pointee.inode_blocks_per_group) }

  func hasSuperblock(_ group: UInt32) -> Bool { ext2fs_bg_has_super(fileSystem, group) != 0 }

  /// In clusters, which are blocks where the file system has no larger ones.
  func freeClusters(_ group: UInt32) -> UInt64 {
    UInt64(ext2fs_bg_free_blocks_count(fileSystem, group))
  }

  func freeInodes(_ group: UInt32) -> UInt64 {
    UInt64(ext2fs_bg_free_inodes_count(fileSystem, group))
  }
}

/// `ExtFileSystem` lets one thread at a time use it.
extension ExtVolume: @unchecked Sendable {}

// MARK: Files

extension ExtVolume {
  /// Calls `body` with each entry of an inode's extent tree, ascending; interior nodes
  /// have no `EXT2_EXTENT_FLAGS_LEAF`.
  func forEachExtent(
    of inode: ExtInode, _ body: (ext2fs_extent) throws -> Void
  ) throws {
    var root = ext2_inode()
    withUnsafeMutableBytes(of: &root) { $0.copyBytes(from: inode.bytes.prefix($0.count)) }
    try withUnsafeMutablePointer(to: &root) { root in
      let action = "read the extents of inode \(inode.number) of \(title)"
      var handle: ext2_extent_handle_t?
      try require(ext2fs_extent_open2(fileSystem, inode.number, root, &handle), action)
      defer { ext2fs_extent_free(handle) }
      var extent = ext2fs_extent()
      var code = ext2fs_extent_get(handle, EXT2_EXTENT_ROOT, &extent)
      while code == 0 {
        if extent.e_flags & UInt32(EXT2_EXTENT_FLAGS_SECOND_VISIT) == 0 { try body(extent) }
        code = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT, &extent)
      }
      if code != EXT2_ET_EXTENT_NO_NEXT { try require(code, action) }
    }
  }

  /// Reads a file's bytes, which are not inline.
  ///
  /// - Returns: the count of bytes read; fewer than asked only at the file's end.
  func read(
    _ inode: ExtInode, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) -> Int {
    let action = "read inode \(inode.number) of \(title) at byte \(offset)"
    var file: ext2_file_t?
    try require(ext2fs_file_open(fileSystem, inode.number, 0, &file), action)
    defer { ext2fs_file_close(file) }
    try require(ext2fs_file_llseek(file, offset, EXT2_SEEK_SET, nil), action)
    var done = 0
    while done < buffer.count {
      var count: UInt32 = 0
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      try require(
        ext2fs_file_read(
          file, rest.baseAddress, UInt32(clamping: min(rest.count, 1 << 20)), &count), action)
      if count == 0 { break }
      done += Int(count)
    }
    return done
  }
}
