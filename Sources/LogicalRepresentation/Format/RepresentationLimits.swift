/// Limits that writer and check share.
enum RepresentationLimits {
  /// Bytes of a symbolic link's target (`PATH_MAX` without its NUL, linux/limits.h).
  static let linkTarget: UInt64 = 4095
  /// Bytes of a reason for which something is unreadable.
  static let reason = 1024
}
