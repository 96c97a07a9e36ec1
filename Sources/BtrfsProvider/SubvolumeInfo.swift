import CBtrfs
import FrozenImage
import SystemPackage

/// What `BTRFS_IOC_GET_SUBVOL_INFO` tells of the subvolume that a file is in.
struct SubvolumeInfo: Hashable {
  /// Unique only while the file system stays mounted: the highest one is given
  /// again after its subvolume was deleted and the file system was mounted anew.
  let id: UInt64
  /// Given to no other subvolume, ever.
  let uuid: UniqueIdentifier
  let isReadOnly: Bool
  /// The transaction in which an inode was changed last (writes, dedupe; not
  /// relocation, which moves extents without touching inodes).
  let changeTransaction: UInt64
  /// When the subvolume was made.
  let created: Timestamp

  /// - Throws: `Errno.noSuchFileOrDirectory` when the subvolume was deleted.
  init(of descriptor: FileDescriptor) throws(Errno) {
    let info = try descriptor.control(
      CBTRFS_GET_SUBVOL_INFO, size: Int(CBTRFS_SUBVOL_INFO_SIZE), read: Self.init(argument:))
    // What is used lies inside the argument, so this never happens.
    guard let info else { throw .invalidArgument }
    self = info
  }

  private init?(argument: UnsafeRawBufferPointer) {
    // struct btrfs_root_item has the flag in bit 0 (BTRFS_ROOT_SUBVOL_RDONLY);
    // this ioctl hands the item's flags out as they are.
    let readOnly: UInt64 = 1
    guard let id: UInt64 = argument.number(at: Int(CBTRFS_SUBVOL_INFO_ID)),
      let uuid = argument.run(at: Int(CBTRFS_SUBVOL_INFO_UUID), count: 16)
        .flatMap({ UniqueIdentifier(bytes: $0) }),
      let flags: UInt64 = argument.number(at: Int(CBTRFS_SUBVOL_INFO_FLAGS)),
      let change: UInt64 = argument.number(at: Int(CBTRFS_SUBVOL_INFO_CTRANSID)),
      let seconds: Int64 = argument.number(at: Int(CBTRFS_SUBVOL_INFO_OTIME)),
      let nanoseconds: UInt32 = argument.number(at: Int(CBTRFS_SUBVOL_INFO_OTIME) + 8)
    else { return nil }
    self.id = id
    self.uuid = uuid
    isReadOnly = flags & readOnly != 0
    changeTransaction = change
    created = Timestamp(seconds: seconds, nanoseconds: min(nanoseconds, 999_999_999))
  }
}
