import Catalogue
import GRPCCore
import ImageReader

extension RPCError {
  /// The status with which the service answers an error, marked as its own choice.
  init(answering error: any Error) {
    let code: RPCError.Code
    switch error {
    case let error as RPCError:
      self = error
      return
    case is WireError: code = .invalidArgument
    case is BlockingPool.Overloaded:
      self.init(answer: .unavailable, "the service has too many requests at once")
      return
    case let error as SourceError:
      // The sentence begins at the other end, which knows what it asked.
      switch error {
      case .unreachable(let reason): self.init(answer: .unavailable, reason)
      case .thawed(let reason): self.init(answer: .failedPrecondition, reason)
      case .failed(let reason): self.init(answer: .internalError, reason)
      }
      return
    case let error as CatalogueError:
      switch error {
      case .unknownImage, .incomplete: code = .notFound
      case .beingThawed: code = .unavailable
      case .tooManySessions: code = .resourceExhausted
      default: code = .internalError
      }
    default: code = .internalError
    }
    self.init(answer: code, "\(error)")
  }

  init(answer code: RPCError.Code, _ message: String) {
    self.init(
      code: code, message: message, metadata: [WireProtocol.failureTrailer: "1"])
  }
}
