import Glibc
import HostSystem
import SystemPackage

/// What mounting needs of this host: fuse(4), fusermount3(1) and fuse.conf of mount.fuse3(8).
public struct FUSECheck: Sendable {
  /// What opening /dev/fuse gives.
  public enum Device: Hashable, Sendable {
    case missing
    /// It can be opened; with its mode.
    case opens(mode: UInt32)
    /// With its mode, and why not.
    case refused(mode: UInt32, reason: String)
  }

  /// Whether the kernel has FUSE loaded.
  public var isLoaded: Bool
  /// What opening /dev/fuse gave.
  public var device: Device
  /// Where fusermount3 is; `nil` when it is not on the PATH.
  public var program: String?
  /// Whether it runs as root for everybody.
  public var isProgramSetUID: Bool
  /// Whether `user_allow_other` stands in /etc/fuse.conf.
  public var usersMayLetOthersIn: Bool
  /// Whether root asks.
  public var isRoot: Bool

  /// Looks at this host.
  public init(_ files: HostFiles = HostFiles()) {
    isLoaded = (files.text("/proc/filesystems") ?? "").split(whereSeparator: \.isWhitespace)
      .contains("fuse")
    device = Self.lookAtDevice()
    program = ProgramPath.of("fusermount3")
    isProgramSetUID = program.map(Self.isSetUID) ?? false
    usersMayLetOthersIn = Self.letsOthersIn(files)
    isRoot = geteuid() == 0
  }

  static func letsOthersIn(_ files: HostFiles) -> Bool {
    (files.text("/etc/fuse.conf") ?? "").split(whereSeparator: \.isNewline)
      .contains { $0.split(whereSeparator: \.isWhitespace) == ["user_allow_other"] }
  }

  private static func lookAtDevice() -> Device {
    var status = stat()
    guard stat("/dev/fuse", &status) == 0 else { return .missing }
    let mode = UInt32(status.st_mode & 0o777)
    let descriptor = open("/dev/fuse", O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else {
      return .refused(mode: mode, reason: Errno(rawValue: errno).description)
    }
    close(descriptor)
    return .opens(mode: mode)
  }

  private static func isSetUID(_ program: String) -> Bool {
    var status = stat()
    return stat(program, &status) == 0 && status.st_uid == 0 && status.st_mode & S_ISUID != 0
  }

  /// What of it is well, and what is not.
  public var findings: [Finding] { [deviceFinding, programFinding, othersFinding] }

  private var deviceFinding: Finding {
    let meaning = "nothing can be mounted; floe restore, list, find and verify need no mount"
    switch device {
    case .missing:
      return .wrong(
        .fuse, "/dev/fuse", "it is not there", meaning: meaning,
        advice: isLoaded
          ? "as root: mknod -m 0666 /dev/fuse c 10 229; in a container, pass the device in"
          : "load the kernel's module: modprobe fuse")
    case .refused(let mode, let reason):
      return .wrong(
        .fuse, "/dev/fuse", "it has mode \(Self.octal(mode)) and cannot be opened: \(reason)",
        meaning: meaning,
        advice: isRoot
          ? "allow the device in this container's or unit's device rules (DeviceAllow=/dev/fuse rw)"
          : "as root: chmod 0666 /dev/fuse, as udev has it")
    case .opens(let mode) where mode & 0o666 != 0o666:
      return .note(
        .fuse, "/dev/fuse", "it has mode \(Self.octal(mode))",
        meaning: "other users may be unable to mount",
        advice: "as root: chmod 0666 /dev/fuse, as udev has it")
    case .opens(let mode):
      return .ok(.fuse, "/dev/fuse", "everybody may open it (mode \(Self.octal(mode)))")
    }
  }

  private var programFinding: Finding {
    let meaning = "only root can mount"
    guard let program else {
      let advice = "install the package fuse3"
      return isRoot
        ? .note(.fuse, "fusermount3", "it is not installed", meaning: meaning, advice: advice)
        : .wrong(.fuse, "fusermount3", "it is not installed", meaning: meaning, advice: advice)
    }
    guard isProgramSetUID else {
      let advice = "as root: chown root \(program) && chmod u+s \(program)"
      let what = "it does not run as root for other users"
      return isRoot
        ? .note(.fuse, program, what, meaning: meaning, advice: advice)
        : .wrong(.fuse, program, what, meaning: meaning, advice: advice)
    }
    return .ok(.fuse, program, "users can mount with it")
  }

  private var othersFinding: Finding {
    usersMayLetOthersIn
      ? .ok(.fuse, "/etc/fuse.conf", "users may mount with -o allow_other")
      : .note(
        .fuse, "/etc/fuse.conf", "it has no line user_allow_other",
        meaning: "only root can mount with -o allow_other")
  }

  private static func octal(_ mode: UInt32) -> String { String(mode, radix: 8) }
}
