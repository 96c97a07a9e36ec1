public import FrozenImage

/// Why an image could not be mounted, or a mount ended.
public enum MountError: CodedError, Hashable {
  /// The mount point is not there or cannot be looked at; the reason is errno's text.
  case mountpoint(path: String, reason: String)
  /// The mount point is not a directory.
  case notADirectory(path: String)
  /// A mount whose process is gone still covers the mount point.
  case deadMount(path: String)
  /// floe has an image mounted there already.
  case mounted(path: String)
  /// The kernel's FUSE device is missing or may not be opened.
  case device(reason: String)
  /// Mounting without root's rights needs fusermount3, and it is not installed.
  case noFusermount
  /// A mount option that makes no sense here.
  case option(word: String, reason: String)
  /// The node to mount is not a directory.
  case rootIsNoDirectory
  /// libfuse or the kernel refused; the reason is libfuse's own.
  case refused(path: String, reason: String)
  /// The mount was made and then failed.
  case failed(path: String, reason: String)
}

extension MountError {
  public var code: ErrorCode {
    switch self {
    case .mountpoint, .notADirectory, .option, .rootIsNoDirectory: .invalid
    case .deadMount, .mounted: .inUse
    case .device, .noFusermount: .unsupported
    case .refused, .failed: .failed
    }
  }

  public var description: String {
    switch self {
    case .mountpoint(let path, let reason): "the mount point \(path) cannot be used: \(reason)"
    case .notADirectory(let path): "the mount point \(path) is not a directory"
    case .deadMount(let path):
      "a mount whose process is gone covers \(path): unmount it first (floe umount \(path))"
    case .mounted(let path):
      "an image is mounted on \(path) already: unmount it first (floe umount \(path)), or mount "
        + "elsewhere"
    case .device(let reason): "/dev/fuse cannot be opened: \(reason)"
    case .noFusermount:
      "mounting without root's rights needs fusermount3, which is not installed (package fuse3)"
    case .option(let word, let reason): "mount option \(word): \(reason)"
    case .rootIsNoDirectory: "what is to be mounted is not a directory"
    case .refused(let path, let reason): "nothing was mounted on \(path): \(reason)"
    case .failed(let path, let reason): "the mount on \(path) failed: \(reason)"
    }
  }
}
