import FrozenImage

extension ExtVolume {
  /// What `statfs` of the mounted file system tells (`ext4_statfs`, fs/ext4/super.c).
  var statistics: FileSystemStatistics {
    var freeClusters: UInt64 = 0
    var freeInodes: UInt64 = 0
    for group in 0..<groups {
      freeClusters += self.freeClusters(group)
      freeInodes += self.freeInodes(group)
    }
    let shift = clusterShift
    let free = min(freeClusters << shift, superblock.blocks)
    let overhead = min(overheadClusters << shift, superblock.blocks)
    let reserved = reservedBlocks
    return FileSystemStatistics(
      blockSize: superblock.blockSize, blocks: superblock.blocks - overhead, freeBlocks: free,
      availableBlocks: free > reserved ? free - reserved : 0, files: UInt64(superblock.inodes),
      freeFiles: freeInodes, maximumNameLength: 255)
  }

  /// Blocks of a cluster, as a power of two.
  private var clusterShift: UInt32 {
    guard superblock.features.hasClusters else { return 0 }
    let cluster: UInt32 = superblock.number(at: 0x1C)
    let block: UInt32 = superblock.number(at: 0x18)
    return cluster > block ? min(cluster - block, 20) : 0
  }

  /// What the superuser may use alone, and what the kernel keeps for the growth of
  /// extent trees (`ext4_set_resv_clusters`): 2 %, at most 4096 clusters.
  private var reservedBlocks: UInt64 {
    let low: UInt32 = superblock.number(at: 8)
    let high: UInt32 = superblock.features.is64Bit ? superblock.number(at: 0x154) : 0
    let reserved = min(UInt64(high) << 32 | UInt64(low), superblock.blocks)
    guard superblock.features.hasExtents else { return reserved }
    return reserved + min(superblock.blocks >> clusterShift / 50, 4096) << clusterShift
  }

  /// Clusters of the file system's own structures (`ext4_calculate_overhead`).
  private var overheadClusters: UInt64 {
    // Where clusters are shared by structures, the kernel trusts the superblock too.
    let recorded: UInt32 = superblock.number(at: 0x248)
    if superblock.features.hasClusters, recorded > 0 { return UInt64(recorded) }
    var blocks = UInt64(superblock.firstDataBlock) + journalBlocks
    for group in 0..<groups {
      blocks += inodeBlocksPerGroup + 2
      if hasSuperblock(group) {
        blocks += 1 + UInt64(superblock.number(at: 0xCE) as UInt16)
      }
      blocks += descriptorBlocks(group)
    }
    return blocks >> clusterShift
  }

  /// `ext4_bg_num_gdb` (fs/ext4/balloc.c).
  private func descriptorBlocks(_ group: UInt32) -> UInt64 {
    let first: UInt32 = superblock.number(at: 0x104)
    let perBlock = UInt32(blockSize / descriptorSize)
    let meta = group / perBlock
    if superblock.features.hasMetaGroups, meta >= first {
      let place = group % perBlock
      return place == 0 || place == 1 || place == perBlock - 1 ? 1 : 0
    }
    guard hasSuperblock(group) else { return 0 }
    return superblock.features.hasMetaGroups ? UInt64(first) : groupDescriptorBlocks
  }

  private var descriptorSize: Int {
    let size: UInt16 = superblock.features.is64Bit ? superblock.number(at: 0xFE) : 32
    return min(max(Int(size), 32), blockSize)
  }

  /// Blocks of the journal, where it lies in the file system.
  private var journalBlocks: UInt64 {
    let number: UInt32 = superblock.number(at: 0xE0)
    guard superblock.features.hasJournal, number != 0, let inode = try? inode(number) else {
      return 0
    }
    return inode.attributes.size / UInt64(blockSize)
  }
}
