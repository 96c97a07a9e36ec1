/// A node (file, directory, …) of an image: the index of its record.
public struct NodeIndex: Hashable, Comparable, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A point in time as `stat` tells it.
public struct Timestamp: Hashable, Sendable {
  /// Seconds since 1970-01-01 00:00 UTC; negative before.
  public var seconds: Int64
  /// 0 through 999,999,999, counted forward from `seconds`.
  public var nanoseconds: UInt32

  public init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }
}

/// What a node is. The values are `readdir`'s `DT_…`, which are the format bits of
/// `st_mode` shifted right by twelve.
public enum FileType: UInt8, Hashable, Sendable {
  case fifo = 1
  case characterDevice = 2
  case directory = 4
  case blockDevice = 6
  case regular = 8
  case symbolicLink = 10
  case socket = 12

  /// The type that an `st_mode` names; `nil` when its format bits name none.
  public init?(mode: UInt32) {
    self.init(rawValue: UInt8(truncatingIfNeeded: mode >> 12 & 0xF))
  }
}

/// What `stat` and `statx` tell of a node.
public struct NodeAttributes: Hashable, Sendable {
  /// The source's inode number.
  public var inode: UInt64
  /// The source's generation number of the inode (`FS_IOC_GETVERSION`).
  public var generation: UInt64
  /// `st_mode`: type and permissions.
  public var mode: UInt32
  /// `st_nlink`, at least 1.
  public var links: UInt32
  /// `st_uid`, as the production host numbers users.
  public var owner: UInt32
  /// `st_gid`, as the production host numbers groups.
  public var group: UInt32
  /// Of a device node; 0 for anything else.
  public var deviceMajor: UInt32
  /// Of a device node; 0 for anything else.
  public var deviceMinor: UInt32
  /// Bytes, at most `Int64.max`.
  public var size: UInt64
  /// Units of 512 bytes, as `st_blocks` counts.
  public var blocks: UInt64
  /// `st_atim`: the last read, as far as the source keeps it.
  public var accessed: Timestamp
  /// `st_mtim`: the last change of the content.
  public var modified: Timestamp
  /// `st_ctim`: the last change of content or attributes.
  public var changed: Timestamp
  /// The birth time, where the source keeps one.
  public var created: Timestamp?
  /// The source's inode flags (`FS_IOC_GETFLAGS`).
  public var inodeFlags: UInt64

  public init(
    inode: UInt64, generation: UInt64, mode: UInt32, links: UInt32, owner: UInt32, group: UInt32,
    deviceMajor: UInt32, deviceMinor: UInt32, size: UInt64, blocks: UInt64, accessed: Timestamp,
    modified: Timestamp, changed: Timestamp, created: Timestamp?, inodeFlags: UInt64
  ) {
    self.inode = inode
    self.generation = generation
    self.mode = mode
    self.links = links
    self.owner = owner
    self.group = group
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.size = size
    self.blocks = blocks
    self.accessed = accessed
    self.modified = modified
    self.changed = changed
    self.created = created
    self.inodeFlags = inodeFlags
  }

  /// What `mode` says, or a regular file when it says nothing that is known (the
  /// writer and the check refuse such a node).
  public var type: FileType { FileType(mode: mode) ?? .regular }
}

extension NodeAttributes {
  /// What is wrong with the attributes, so that no representation can hold them; `nil`
  /// when nothing is.
  public var problem: String? {
    if FileType(mode: mode) == nil {
      return "its mode \(String(mode, radix: 8)) names no file type"
    }
    if links == 0 { return "its link count is 0" }
    if size > UInt64(Int64.max) { return "its size \(size) is too large" }
    for time in [accessed, modified, changed, created ?? changed]
    where time.nanoseconds >= 1_000_000_000 {
      return "a time has \(time.nanoseconds) nanoseconds"
    }
    return nil
  }
}
