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

  func note(_ sentence: String) {
    let isNew = seen.withLock { seen in
      if seen.count >= Self.limit { seen = [] }
      return seen.insert(sentence).inserted
    }
    if isNew { logger.warning("\(sentence)") }
  }
}
