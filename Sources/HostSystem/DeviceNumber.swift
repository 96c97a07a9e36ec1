import CLinuxIO
import Glibc

/// A device's number (makedev(3)).
public struct DeviceNumber: Hashable, Sendable {
  /// The driver, or a class of drivers.
  public let major: UInt32
  /// The device among the driver's.
  public let minor: UInt32

  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }

  /// Takes apart what `st_rdev` and `st_dev` of stat(2) hold.
  public init(packed: UInt64) {
    major = gnu_dev_major(dev_t(packed))
    minor = gnu_dev_minor(dev_t(packed))
  }

  /// Reads it as sysfs writes it, "8:1"; `nil` when the text is something else.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ":")
    guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1])
    else { return nil }
    self.init(major: major, minor: minor)
  }

  /// As `st_rdev` holds it.
  public var packed: UInt64 { UInt64(gnu_dev_makedev(major, minor)) }
}

extension DeviceNumber: CustomStringConvertible {
  public var description: String { "\(major):\(minor)" }
}
