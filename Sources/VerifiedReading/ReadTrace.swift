import FrozenImage
import ImageReader
import Logging

/// Logs every step of every read, for whoever looks for what goes on: at the level debug,
/// and at no cost at any other.
struct ReadTrace: Sendable {
  private let logger: Logger?

  init(logger: Logger) {
    self.logger = logger.logLevel <= .debug ? logger : nil
  }

  func note(_ step: ReadRule.Step, of portion: Portion) {
    guard let logger else { return }
    let range = portion.range
    logger.debug(
      "inode \(portion.inode), bytes \(range.lowerBound) to \(range.upperBound): \(Self.text(of: step))"
    )
  }

  private static func text(of step: ReadRule.Step) -> String {
    switch step {
    case .fetch(let plan):
      "fetch \(plan.pieces.count) pieces\(plan.mayHaveMoved ? ", which may have moved" : "")"
    case .check: "check the witness of every medium"
    case .ask(let question): "ask where \(question.portions.count) portions lie"
    case .readThrough(let reason): "read through the production host: \(reason)"
    case .pause: "wait"
    case .finished: "the bytes are the image's"
    case .failed(let error): "failed: \(error)"
    }
  }
}
