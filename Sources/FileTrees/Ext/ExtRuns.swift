import CExt2
import DataSets
import FrozenImage

/// A run of a file's blocks that lies in one piece.
struct ExtRun: Hashable {
  /// The first block, counted from the start of the file.
  var start: UInt64
  /// Where that lies in the file system.
  var block: UInt64
  /// Blocks, more than 0.
  var count: UInt64
  /// Allocated but never written: reads as zeros.
  let isUnwritten: Bool

  fileprivate func continues(_ other: ExtRun) -> Bool {
    start == other.start + other.count && isUnwritten == other.isUnwritten
      && block == other.block + other.count
  }
}

/// How many blocks a walk may still come across. Every block belongs to one file, so
/// a healthy file system has enough of them, and a malicious one cannot make the walk
/// endless by naming the same blocks again and again. Where files share blocks by right
/// (`ExtFeatures.hasSharedBlocks`) there is a bound as well, a wider one.
struct ExtBlockAllowance {
  /// How often a block may be used, on the average, where files share blocks: what is
  /// shared are whole files and runs of zeros, in images of some gigabytes.
  private static let sharing: UInt64 = 256

  private var rest: UInt64
  private let title: String

  init(_ volume: ExtVolume) {
    let superblock = volume.superblock
    let times = superblock.features.hasSharedBlocks ? Self.sharing : 1
    // Fewer than 2^47 blocks (`ExtSuperblock`).
    rest = superblock.blocks * times
    title = volume.title
  }

  mutating func take(_ count: UInt64) throws(StackError) {
    guard count <= rest else {
      throw StackError(.malformed, "the files of \(title) have more blocks than it has: run e2fsck")
    }
    rest -= count
  }
}

extension ExtVolume {
  /// Calls `body` with each run of a file's blocks, ascending, neighbours joined; what
  /// lies beyond the last block of its size is left out. Where the map is damaged, it is
  /// called with all runs before the damage.
  func forEachRun(
    of inode: ExtInode, _ allowance: inout ExtBlockAllowance, _ body: (ExtRun) throws -> Void
  ) throws {
    guard inode.flags & ExtInode.Flag.inlineData == 0 else { return }
    let size = inode.attributes.size
    let blocks = size / UInt64(blockSize) + (size % UInt64(blockSize) > 0 ? 1 : 0)
    var joined: ExtRun?
    let add = { (run: ExtRun) in
      guard run.start < blocks else { return }
      var run = run
      run.count = min(run.count, blocks - run.start)
      if let before = joined {
        if run.continues(before) {
          joined?.count += run.count
          return
        }
        try body(before)
      }
      joined = run
    }
    do {
      if inode.flags & ExtInode.Flag.extents != 0 {
        try extentRuns(of: inode, &allowance, add)
      } else {
        try indirectRuns(of: inode, blocks: blocks, &allowance, add)
      }
    } catch let damage as StackError {
      if let joined { try body(joined) }
      throw damage
    }
    if let joined { try body(joined) }
  }

  /// Deepest extent tree (`EXT4_MAX_EXTENT_DEPTH`, fs/ext4/ext4_extents.h).
  private static let maximumDepth: UInt16 = 5

  private func extentRuns(
    of inode: ExtInode, _ allowance: inout ExtBlockAllowance, _ add: (ExtRun) throws -> Void
  ) throws {
    // `eh_depth`.
    let depth: UInt16 = ExtSuperblock.number(inode.bytes, ExtInode.blockMap.lowerBound + 6)
    guard depth <= Self.maximumDepth else {
      throw StackError(
        .malformed, "the extents of inode \(inode.number) of \(title) are \(depth) levels deep")
    }
    var end: UInt64 = 0
    try forEachExtent(of: inode) { extent in
      guard extent.e_flags & UInt32(EXT2_EXTENT_FLAGS_LEAF) != 0 else {
        try allowance.take(1)
        return
      }
      let count = UInt64(extent.e_len)
      guard count > 0, extent.e_lblk >= end, contains(extent.e_pblk, count: count) else {
        throw StackError(
          .malformed,
          "an extent of inode \(inode.number) of \(title) at block \(extent.e_lblk) is malformed")
      }
      end = extent.e_lblk + count
      try allowance.take(count)
      try add(
        ExtRun(
          start: extent.e_lblk, block: extent.e_pblk, count: count,
          isUnwritten: extent.e_flags & UInt32(EXT2_EXTENT_FLAGS_UNINIT) != 0))
    }
  }

  /// The block map of ext2 and ext3: twelve blocks, then a block of block numbers, a
  /// block of those, and a block of those.
  private func indirectRuns(
    of inode: ExtInode, blocks: UInt64, _ allowance: inout ExtBlockAllowance,
    _ add: (ExtRun) throws -> Void
  ) throws {
    var start: UInt64 = 0
    for index in 0..<15 where start < blocks {
      let block: UInt32 = ExtSuperblock.number(
        inode.bytes, ExtInode.blockMap.lowerBound + 4 * index)
      try indirectRuns(
        of: inode, block: UInt64(block), depth: max(0, index - 11), start: &start, blocks: blocks,
        &allowance, add)
    }
  }

  private func indirectRuns(
    of inode: ExtInode, block: UInt64, depth: Int, start: inout UInt64, blocks: UInt64,
    _ allowance: inout ExtBlockAllowance, _ add: (ExtRun) throws -> Void
  ) throws {
    guard block != 0 else {
      start += (0..<depth).reduce(1) { covered, _ in covered * UInt64(blockSize / 4) }
      return
    }
    try allowance.take(1)
    guard depth > 0 else {
      guard contains(block, count: 1) else {
        throw StackError(
          .malformed,
          "block \(start) of inode \(inode.number) of \(title) lies at \(block), which does not "
            + "exist")
      }
      try add(ExtRun(start: start, block: block, count: 1, isUnwritten: false))
      start += 1
      return
    }
    let numbers = try indirectBlock(block, of: inode.number)
    for offset in stride(from: 0, to: numbers.count, by: 4) where start < blocks {
      let below: UInt32 = ExtSuperblock.number(numbers, offset)
      try indirectRuns(
        of: inode, block: UInt64(below), depth: depth - 1, start: &start, blocks: blocks,
        &allowance, add)
    }
  }
}
