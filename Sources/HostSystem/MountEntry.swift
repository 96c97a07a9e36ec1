import FrozenImage
public import SystemPackage

/// A mount, as a line of /proc/PID/mountinfo tells of it (proc_pid_mountinfo(5)).
public struct MountEntry: Hashable, Sendable {
  public let id: String
  /// Of the file system's block device, "8:1"; a number of its own for one that has no
  /// device, or may have several.
  public let device: String
  /// The directory of the file system that is shown, from the file system's own top; "/" but
  /// for a bind mount or a subvolume.
  public let root: String
  /// Below the process's root, whose own is "/".
  public let mountpoint: String
  /// Type of the file system ("tmpfs", "fuse.sshfs").
  public let type: String
  /// What is mounted there: a device's path, "host:/export"; "none" for what has none.
  public let source: String
  /// Options of the mount, such as `ro`.
  public let mountOptions: [String]
  /// Options of the file system behind it, the same for all its mounts.
  public let superOptions: [String]

  /// The mounts that a process sees, those on top of others last.
  ///
  /// - Parameter process: its number; "self" for this one.
  /// - Throws: the error of open(2) or read(2).
  public static func all(seenBy process: String = "self") throws(Errno) -> [MountEntry] {
    try CompleteFile.read("/proc/\(process)/mountinfo").split(separator: UInt8(ascii: "\n"))
      .compactMap { MountEntry(line: $0) }
  }

  /// - Parameter line: without its end.
  /// - Returns: `nil` when it is none of mountinfo.
  public init?(line: some Collection<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " ")).map { Self.text($0) }
    // Optional fields, in any number, end with a dash.
    guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), fields.count > dash + 3
    else { return nil }
    let options = { (field: String) in field.split(separator: ",").map(String.init) }
    id = fields[0]
    device = fields[2]
    root = fields[3]
    mountpoint = fields[4]
    type = fields[dash + 1]
    source = fields[dash + 2]
    mountOptions = options(fields[5])
    superOptions = options(fields[dash + 3])
  }

  /// Whether a program, rather than the kernel, makes up the files and their owners
  /// ("fuse", "fuse.sshfs", and "fuseblk" of a block device).
  public var isFUSE: Bool {
    type == "fuse" || type == "fuseblk" || type.hasPrefix("fuse.") || type.hasPrefix("fuseblk.")
  }

  /// Who mounted a FUSE file system; `nil` when it is none, or nothing tells.
  public var fuseUser: UInt32? {
    guard isFUSE else { return nil }
    return superOptions.first { $0.hasPrefix("user_id=") }
      .flatMap { UInt32($0.dropFirst("user_id=".count)) }
  }

  /// A field without the octal escapes of blanks, tabs, line ends and backslashes.
  private static func text(_ field: some Collection<UInt8>) -> String {
    var bytes: [UInt8] = []
    var rest = Array(field)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return PathText.text(of: bytes)
  }
}
