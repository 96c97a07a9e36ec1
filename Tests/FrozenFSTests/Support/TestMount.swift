import Dispatch
import FrozenFS
import FrozenImage
import Glibc
import HostSystem
import Logging
import LogicalRepresentation
import Synchronization
import Testing

/// A real mount of an image in memory, served by this process.
final class TestMount: Sendable {
  let path: String
  let image: MemoryImage
  private let ended = DispatchSemaphore(value: 0)
  private let problem = Mutex<(any Error)?>(nil)

  /// Mounts an image, and returns when the mount answers.
  init(
    _ image: MemoryImage, options: [String] = [], source: String = "test",
    control: any MountControl = NoControl()
  ) throws {
    path = try temporaryDirectory()
    self.image = image
    let started = DispatchSemaphore(value: 0)
    try Thread.detach { [self] in
      do {
        let root = try #require(image.tree.roots.first)
        let mount = try FrozenMount(
          tree: image.tree, root: root.node, contents: image, control: control, mountpoint: path,
          options: MountOptions(source: source, fuseOptions: options),
          logger: .silent)
        try mount.serve { started.signal() }
      } catch {
        problem.withLock { $0 = error }
      }
      started.signal()
      ended.signal()
    }
    started.wait()
    if let problem = problem.withLock({ $0 }) {
      rmdir(path)
      throw problem
    }
  }

  /// Waits until `serve` has returned.
  func waitForEnd() throws {
    ended.wait()
    ended.signal()
    if let problem = problem.withLock({ $0 }) { throw problem }
  }

  /// Unmounts as umount(8) does; waits while the mount is in use.
  ///
  /// A test that starts a command at the same time lends the child this process's file
  /// descriptors until the child's exec closes them. Closing one asks this mount, so the
  /// mount must answer until they are all closed: a lazy unmount would leave a child
  /// that waits for an answer for ever and keeps the connection alive.
  func unmount() throws {
    while umount2(path, 0) != 0 {
      guard errno == EBUSY else { try check(-1, "umount \(path)"); return }
      usleep(10_000)
    }
    try waitForEnd()
  }

  /// Removes the mount whatever state it is in.
  func remove() {
    if isMounted(path) { umount2(path, Int32(MNT_DETACH)) }
    ended.wait()
    rmdir(path)
  }
}

/// Mounts an image, runs the body on a thread of its own and unmounts, which must go
/// cleanly unless the body has done it.
func mounted(
  _ image: MemoryImage, options: [String] = [], source: String = "test",
  control: any MountControl = NoControl(),
  _ body: @escaping @Sendable (TestMount) throws -> Void
) async throws {
  try await onThread {
    let mount = try TestMount(image, options: options, source: source, control: control)
    defer { mount.remove() }
    try body(mount)
    if isMounted(mount.path) { try mount.unmount() }
  }
}

/// Runs what blocks on a thread of its own, off Swift's cooperative pool.
func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try Thread.detach { continuation.resume(with: Result { try body() }) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}

/// Knows no control attributes.
struct NoControl: MountControl {
  func attribute(_ name: String, of node: NodeIndex) -> [UInt8]? { nil }
}

extension Logger {
  /// For tests that provoke what would be logged.
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
