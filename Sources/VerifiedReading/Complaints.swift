import FrozenImage
import ImageReader
import Logging
import Synchronization

/// Logs each cause once, until something else happened in between many times over.
final class Complaints: Sendable {
  private static let limit = 1024
  private let logger: Logger
  private let seen = Mutex<Set<String>>([])

  init(logger: Logger) {
    self.logger = logger
  }

  func note(_ cause: String) {
    if isNew(cause) { logger.warning("\(cause)") }
  }

  /// Logs a cause with the place of the first read that met it.
  func note(_ cause: String, at read: PortionRead, _ media: MediaTable) {
    guard isNew(cause) else { return }
    var place = "inode \(read.portion.inode) at byte \(read.portion.range.lowerBound)"
    if let address = read.lastPlace {
      place +=
        ", \(media[address.medium]?.path ?? "medium \(address.medium)") at byte "
        + "\(address.offset)"
    }
    logger.warning("\(place): \(cause)")
  }

  private func isNew(_ cause: String) -> Bool {
    seen.withLock { seen in
      if seen.count >= Self.limit { seen = [] }
      return seen.insert(cause).inserted
    }
  }
}
