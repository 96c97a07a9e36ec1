import DataSets
import VolumeLayers

/// Tells signatures that outlived their format: programs that make a file system over
/// another one leave what they have no use for, and libblkid finds it.
///
/// A signature is stale when the format's own structures beside it, which it keeps as long as
/// it is in use, are gone. Where that is not known of a format, its signature counts.
enum StaleSignature {
  /// - Parameter type: libblkid's name of the format.
  /// - Throws: `StackError` when the layer cannot be read.
  static func isStale(_ type: String, on layer: Layer) throws(StackError) -> Bool {
    switch type {
    case "zfs_member": try !hasFirstLabels(layer)
    case "xfs": try !hasFirstHeaders(layer)
    default: false
    }
  }

  /// ZFS keeps four labels of 256 KiB, two at the start and two at the end, and writes them
  /// all, one of each pair first (OpenZFS, `vdev_uberblock_sync_list`). The upper half of a
  /// label is a ring of uberblocks, each at a multiple of 1 KiB; their magic number is
  /// 0x00bab10c in the byte order of the host that wrote it. `mkfs` writes over the start of
  /// a device more likely than over its end.
  private static func hasFirstLabels(_ layer: Layer) throws(StackError) -> Bool {
    let labelLength: UInt64 = 256 << 10
    for label in 0..<UInt64(2) {
      let start = label * labelLength + labelLength / 2
      guard start < layer.size else { continue }
      let ring = try layer.bytes(
        at: start, count: Int(min(labelLength / 2, layer.size - start)))
      for place in stride(from: 0, to: ring.count - 7, by: 1024) {
        let magic = ring[place..<place + 8]
        let number = magic.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if number == 0x00BA_B10C || number.byteSwapped == 0x00BA_B10C { return true }
      }
    }
    return false
  }

  /// XFS keeps the headers of free space and of inodes in the second and third sector
  /// (fs/xfs/libxfs/xfs_format.h, `XFS_AGF_DADDR`, `XFS_AGI_DADDR`), in the size of
  /// `sb_sectsize`, a big-endian number at byte 102.
  private static func hasFirstHeaders(_ layer: Layer) throws(StackError) -> Bool {
    guard layer.size >= 512 else { return false }
    let superblock = try layer.bytes(at: 0, count: 512)
    let sector = UInt64(superblock[102]) << 8 | UInt64(superblock[103])
    for (index, magic) in [(UInt64(1), "XAGF"), (2, "XAGI")] {
      let place = index * max(sector, 512)
      guard place <= layer.size - 4 else { continue }
      if try layer.bytes(at: place, count: 4).elementsEqual(magic.utf8) { return true }
    }
    return false
  }
}
