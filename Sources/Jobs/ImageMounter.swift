public import HostSystem

/// What mounts images for jobs: the program's own `floe mount`.
public protocol ImageMounter: Sendable {
  /// Mounts an image; the directory is there.
  ///
  /// - Parameters:
  ///   - socket: where the production host's service is found.
  ///   - directory: an absolute path.
  ///   - options: words for `floe mount`.
  ///   - isForOthers: whether another user than this process' is to see it.
  /// - Throws: `Failure` that says why it is not mounted.
  func mount(
    _ image: RunImage, from socket: String, at directory: String, options: [String],
    isForOthers: Bool
  ) throws(Failure)

  /// What a mount has counted so far; `nil` where it does not say, or not soon.
  func counts(at directory: String) -> ReadCounts?

  /// Unmounts, if need be under those who use it; nothing mounted is no error.
  ///
  /// - Throws: `Failure` when it is mounted still.
  func unmount(_ directory: String) throws(Failure)

  /// Has everybody who waits for a mount go on with an error, and takes it away: for what nobody
  /// can end otherwise.
  func abort(_ directory: String)

  /// Where images are mounted below a directory, also those whose process is gone.
  func mounts(below directory: String) -> [String]
}
