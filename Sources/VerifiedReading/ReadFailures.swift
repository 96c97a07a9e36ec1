import FrozenImage
import Glibc
import Synchronization

/// Why reads of a mount failed: the last few reasons.
public struct ReadFailure: Sendable, Hashable {
  /// What went wrong, and where, in one sentence.
  public let reason: String
  /// How often, since it was noted first.
  public internal(set) var count: UInt64
  /// When last, in seconds since 1970.
  public internal(set) var lastSeconds: Int64
  /// The inode that was read last.
  public internal(set) var inode: UInt64
  /// Bytes from the start of the file, of the read that failed last.
  public internal(set) var offset: UInt64
}

/// Remembers the last reasons for which reads failed, each with its count.
final class ReadFailures: Sendable {
  /// Most reasons that are remembered; the one that is longest ago goes first.
  static let limit = 8
  /// Most bytes of a reason: they are handed out through an attribute, which is small.
  static let reasonLimit = 1000

  private let noted = Mutex<[ReadFailure]>([])

  func note(_ reason: String, inode: UInt64, offset: UInt64) {
    let now = Int64(time(nil))
    let reason = String(reason.prefix(Self.reasonLimit))
    noted.withLock { noted in
      var failure = ReadFailure(
        reason: reason, count: 0, lastSeconds: now, inode: inode, offset: offset)
      if let index = noted.firstIndex(where: { $0.reason == reason }) {
        failure.count = noted.remove(at: index).count
      } else if noted.count >= Self.limit {
        noted.removeFirst()
      }
      failure.count += 1
      noted.append(failure)
    }
  }

  /// The newest first.
  var newestFirst: [ReadFailure] { noted.withLock { $0.reversed() } }
}
