import CBtrfs
import FrozenImage

/// `struct btrfs_dir_item`: an entry of a directory (DIR_INDEX) or an extended
/// attribute (XATTR_ITEM), which share one form.
struct DirectoryItem {
  let name: UnsafeRawBufferPointer
  /// The attribute's value; empty for an entry.
  let data: UnsafeRawBufferPointer
  /// What the entry leads to: an inode number, or a subvolume's ID.
  let target: UInt64
  let isSubvolume: Bool
  /// `nil` for an attribute, or a type that is not known.
  let type: FileType?

  /// The entries that an item packs one after the other (several when the hashes
  /// of their names collide), and whether it ends with a torn one.
  static func all(
    in payload: UnsafeRawBufferPointer
  ) -> (items: [DirectoryItem], isTorn: Bool) {
    var items: [DirectoryItem] = []
    var position = 0
    while position < payload.count {
      guard let item = DirectoryItem(payload, at: &position) else { return (items, true) }
      items.append(item)
    }
    return (items, false)
  }

  private init?(_ payload: UnsafeRawBufferPointer, at position: inout Int) {
    guard let header = payload.run(at: position, count: Int(CBTRFS_DIR_SIZE)),
      let target: UInt64 = header.number(at: Int(CBTRFS_DIR_LOCATION_OBJECT)),
      let locationType: UInt8 = header.number(at: Int(CBTRFS_DIR_LOCATION_TYPE)),
      let dataLength: UInt16 = header.number(at: Int(CBTRFS_DIR_DATA_LENGTH)),
      let nameLength: UInt16 = header.number(at: Int(CBTRFS_DIR_NAME_LENGTH)),
      let type: UInt8 = header.number(at: Int(CBTRFS_DIR_TYPE))
    else { return nil }
    position += Int(CBTRFS_DIR_SIZE)
    guard let name = payload.run(at: position, count: Int(nameLength)) else { return nil }
    position += Int(nameLength)
    guard let data = payload.run(at: position, count: Int(dataLength)) else { return nil }
    position += Int(dataLength)
    self.name = name
    self.data = data
    self.target = target
    isSubvolume = locationType == ItemType.root
    self.type = Self.type(type)
  }

  /// `BTRFS_FT_…` (linux/btrfs_tree.h); bit 7 marks an encrypted name.
  private static func type(_ value: UInt8) -> FileType? {
    switch value & 0x7F {
    case 1: .regular
    case 2: .directory
    case 3: .characterDevice
    case 4: .blockDevice
    case 5: .fifo
    case 6: .socket
    case 7: .symbolicLink
    default: nil
    }
  }
}
