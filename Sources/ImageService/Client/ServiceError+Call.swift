import FrozenImage
import GRPCCore
import ImageAccess
import NIOCore
import SystemPackage

extension ServiceError {
  /// Sorts what a call ended with. Only a status that the service marked as its own
  /// choice is an answer; anything else is a failure on the way.
  ///
  /// - Parameter stateDirectory: the one whose final “no” is believed; `nil` before the
  ///   service said which it serves.
  init(_ error: any Error, at endpoint: ServiceEndpoint, of stateDirectory: UniqueIdentifier?) {
    switch error {
    case let error as ServiceError: self = error
    case let error as WireError: self = .corrupt(error.description)
    case let error as RPCError
    where !error.isAnswer:
      if error.code == .unimplemented {
        self = .incompatible(endpoint, reason: "it does not know the call")
      } else {
        self = .unreachable(endpoint, reason: Self.reason(error))
      }
    case let error as RPCError:
      switch error.code {
      case .notFound, .failedPrecondition:
        let isFinal = stateDirectory.map { error.stateDirectory == $0 } ?? true
        self = isFinal ? .thawed(error.message) : .otherStateDirectory(endpoint)
      case .unavailable: self = .unreachable(endpoint, reason: error.message)
      default: self = .refused(error.message)
      }
    default: self = .unreachable(endpoint, reason: Self.broken)
    }
  }

  private static let broken = "the connection broke off"

  /// What the system said, which is what a person can do something about. The libraries'
  /// own words are for programmers.
  private static func reason(_ error: RPCError) -> String {
    if error.code == .deadlineExceeded { return "it did not answer in time" }
    var innermost: any Error = error
    while let cause = (innermost as? RPCError)?.cause { innermost = cause }
    guard let innermost = innermost as? IOError else { return broken }
    return Errno(rawValue: innermost.errnoCode).description
  }
}

extension RPCError {
  /// Whether the service itself chose the status.
  fileprivate var isAnswer: Bool {
    metadata[stringValues: WireProtocol.failureTrailer].contains { _ in true }
  }

  /// The state directory that the status is about, if it says so.
  fileprivate var stateDirectory: UniqueIdentifier? {
    metadata[stringValues: WireProtocol.stateDirectoryTrailer].first { _ in true }
      .flatMap { UniqueIdentifier($0) }
  }
}
