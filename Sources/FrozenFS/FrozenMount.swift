import CFuse3
public import FrozenImage
import Glibc
public import ImageReader
public import Logging
public import LogicalRepresentation
import SystemPackage

/// One mount of an image's tree: FUSE requests in, answers from the representation
/// and from a `FileReading` out.
///
/// The mount is made by `init`, is answered while `serve` runs, and is gone when
/// `serve` returns. Whatever ends the process leaves readers with an error, never
/// with an empty directory: the kernel answers ENOTCONN for a mount without a server.
public final class FrozenMount {
  private let files: FrozenFileSystem
  private let mountpoint: Mountpoint
  private let logger: Logger
  private let session: OpaquePointer

  /// Mounts a tree; requests wait until `serve` runs.
  ///
  /// - Parameters:
  ///   - root: the directory that appears at the mount point.
  ///   - contents: what reads the files' bytes; called from libfuse's threads.
  /// - Throws: `MountError`; `RepresentationError` when the root cannot be read.
  public init(
    tree: Representation, root: NodeIndex, contents: any FileReading, control: any MountControl,
    mountpoint: String, options: MountOptions, logger: Logger
  ) throws {
    guard try tree.attributes(of: root).type == .directory else {
      throw MountError.rootIsNoDirectory
    }
    let argument = try options.argument()
    let place = try Mountpoint(mountpoint)
    try Mountpoint.checkPrerequisites()
    let files = FrozenFileSystem(
      tree: tree, root: root, contents: contents, control: control, logger: logger)
    LibfuseLog.redirect(to: logger)
    let made = LibfuseLog.record { Self.makeSession(argument, files) }
    guard let session = made.value else {
      throw MountError.refused(path: place.path, reason: made.said)
    }
    let mounted = LibfuseLog.record {
      PathText.withCString(place.path) { fuse_session_mount(session, $0) }
    }
    guard mounted.value == 0 else {
      fuse_session_destroy(session)
      throw MountError.refused(
        path: place.path,
        reason: (mounted.said.isEmpty ? "fusermount3 refused, and said why itself" : mounted.said)
          + (options.fuseOptions.isEmpty
            ? "" : " (options \(options.fuseOptions.joined(separator: ",")))"))
    }
    self.files = files
    self.mountpoint = place
    self.logger = logger
    self.session = session
  }

  /// Looks whether an image can be mounted at a path, without mounting anything.
  ///
  /// - Throws: `MountError` when not.
  public static func checkMountpoint(_ path: String) throws(MountError) {
    _ = try Mountpoint(path)
    try Mountpoint.checkPrerequisites()
  }

  deinit {
    fuse_session_unmount(session)
    fuse_session_destroy(session)
  }

  private static func makeSession(
    _ argument: String, _ files: FrozenFileSystem
  ) -> OpaquePointer? {
    var arguments = fuse_args()
    defer { fuse_opt_free_args(&arguments) }
    for word in ["floe", "-o", argument] {
      let added = PathText.withCString(word) { fuse_opt_add_arg(&arguments, $0) }
      guard added == 0 else { return nil }
    }
    var operations = makeOperations()
    // Not retained: the mount owns both, and destroys the session first.
    return fuse_session_new(
      &arguments, &operations, MemoryLayout<fuse_lowlevel_ops>.size,
      Unmanaged.passUnretained(files).toOpaque())
  }

  /// Answers requests until the mount is unmounted or a signal (SIGTERM, SIGINT,
  /// SIGHUP) asks the process to end; the mount is gone then.
  ///
  /// Blocks: not to be called from Swift's cooperative threads. May be called once.
  /// - Parameter ready: called on this thread once the mount answers.
  /// - Throws: `MountError.failed`.
  public func serve(ready: () -> Void) throws(MountError) {
    do throws(Errno) {
      let termination = try Termination.listen()
      defer { Termination.stopListening() }
      let loop = try SessionLoop(session)
      // Answered by libfuse's threads, as soon as they have settled with the kernel.
      var root = stat()
      let looked = PathText.withCString(mountpoint.path) { stat($0, &root) }
      let problem = looked == 0 ? nil : Errno(rawValue: errno)
      if problem == nil {
        ReadAhead.raise(forDevice: root.st_dev, logger: logger)
        ready()
      }
      // Interrupted: a signal came, which `end` sees as well.
      let mustStop = problem != nil && problem != .interrupted
      try loop.end(whenReadable: mustStop ? nil : termination)
      if mustStop, let problem { throw problem }
    } catch {
      throw .failed(path: mountpoint.path, reason: error.description)
    }
  }
}
