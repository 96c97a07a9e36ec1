import CFuse3
import FrozenImage
import Glibc
import ImageReader
import Logging
import LogicalRepresentation
import Synchronization
import SystemPackage

/// What libfuse's threads answer requests from. One file extends it for each
/// concern: attributes, directories, reads, extended attributes, seeking.
///
/// Nothing here changes after a mount began, so the threads share it without locks;
/// what they do share lies in `buffers` and `reported`.
final class FrozenFileSystem: Sendable {
  let tree: Representation
  let numbers: NodeNumbers
  let contents: any FileReading
  let control: any MountControl
  let buffers = ReplyBuffers()
  /// The user who mounted, and may ask for control attributes.
  let owner: uid_t
  private let logger: Logger
  private let reported = Mutex<Set<String>>([])

  init(
    tree: Representation, root: NodeIndex, contents: any FileReading, control: any MountControl,
    logger: Logger
  ) {
    self.tree = tree
    self.numbers = NodeNumbers(root: root)
    self.contents = contents
    self.control = control
    self.logger = logger
    self.owner = getuid()
  }

  /// Looks something up in the representation; a damaged one is EIO, and logged, and so
  /// is what could not be read when the image was frozen.
  func metadata<Value>(
    _ body: () throws(RepresentationError) -> Value
  ) throws(Errno) -> Value {
    do throws(RepresentationError) {
      return try body()
    } catch {
      if case .unreadable(let node, _) = error {
        let inode = (try? tree.inode(of: node)).map { "inode \($0)" } ?? "a node"
        throw report("\(inode): \(error)", as: .ioError)
      }
      throw report("the representation cannot be read: \(error)", as: .ioError)
    }
  }

  /// Most different sentences that are logged.
  private static let reportLimit = 1000

  /// Logs why a request fails, once for each cause, and gives the errno back.
  func report(_ reason: String, as errno: Errno) -> Errno {
    let count = reported.withLock { reported -> Int? in
      guard reported.count < Self.reportLimit, reported.insert(reason).inserted else { return nil }
      return reported.count
    }
    if let count {
      logger.error("\(reason)")
      if count == Self.reportLimit { logger.error("what fails from now on is not logged") }
    }
    return errno
  }
}
