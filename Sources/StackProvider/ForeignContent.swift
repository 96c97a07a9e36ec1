/// What libblkid or the kernel recognises and floe does not read in a stack, and what the
/// user can do about it.
struct ForeignContent {
  /// What the layer does: "holds an XFS file system".
  let what: String
  /// What to do.
  let advice: String
  /// Whether the layer's raw bytes alone are of any use: not those of one member of a pool.
  let isWholeByItself: Bool

  /// - Parameter type: libblkid's name of the format, or the kernel's of a file system.
  init(type: String) {
    switch type {
    case "xfs":
      self.init(
        "holds an XFS file system, which floe reads where the kernel has it mounted",
        "mount it, and freeze a directory of it")
    case "btrfs":
      self.init(
        "holds a btrfs file system, which floe reads where the kernel has it mounted",
        "mount it, and freeze a subvolume of it")
    case "crypto_LUKS":
      self.init(
        "is encrypted with LUKS",
        "open it with cryptsetup, here and on the backup host, and freeze what is in it")
    case "BitLocker":
      self.init(
        "is encrypted with BitLocker",
        "open it with cryptsetup, here and on the backup host, and freeze what is in it")
    case "swap", "swsuspend":
      self.init("holds swap space", "there is nothing in it to back up", isWholeByItself: false)
    case "zfs_member":
      self.init(
        "is a member of a ZFS pool, which floe does not read",
        "zfs send copies a snapshot of a data set; zpool labelclear removes labels of a pool that "
          + "is no more",
        isWholeByItself: false)
    case "linux_raid_member":
      self.init(
        "is a member of an md array", "freeze the array's own device (/dev/md…)",
        isWholeByItself: false)
    case "LVM2_member":
      self.init(
        "is an LVM2 physical volume of which floe finds no metadata",
        "pvck shows what is left of them, and a logical volume is named as VG/LV",
        isWholeByItself: false)
    case "LVM1_member":
      self.init(
        "is a physical volume of LVM1, which floe does not read",
        "vgconvert --metadatatype 2 makes it one of LVM2", isWholeByItself: false)
    case "DM_snapshot_cow":
      self.init(
        "keeps the changes of a device-mapper snapshot", "freeze the snapshot's own device",
        isWholeByItself: false)
    case "bcache", "drbd", "DM_integrity", "mpath_member", "stratis", "ceph_bluestore":
      self.init(
        "is a device below \(type)", "freeze the device or file system that is made of it",
        isWholeByItself: false)
    case let type where type.hasSuffix("_member"):
      self.init(
        "is a member of an array or pool (\(type))", "freeze the device that is made of it",
        isWholeByItself: false)
    default:
      self.init(
        "holds \(type), which floe does not read",
        "mount it and copy its files with any other tool")
    }
  }

  private init(_ what: String, _ advice: String, isWholeByItself: Bool = true) {
    self.what = what
    self.advice = advice
    self.isWholeByItself = isWholeByItself
  }

  /// What to do where the kernel has it mounted.
  func adviceWhenMounted(at mountpoint: String) -> String {
    switch what {
    case let what where what.hasPrefix("holds an XFS"): "freeze that directory, or one in it"
    case let what where what.hasPrefix("holds a btrfs"): "freeze a subvolume of it there"
    default: "unmount it, and --assume-frozen takes it as a raw volume"
    }
  }
}
