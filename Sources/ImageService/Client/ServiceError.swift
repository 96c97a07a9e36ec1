import FrozenImage
import GRPCCore
import ImageReader
import NIOCore
import SystemPackage

/// Why the production host's service did not do what a backup host asked, as one sentence.
public enum ServiceError: Error, Hashable, Sendable {
  /// Nothing answers there now.
  case unreachable(Endpoint, reason: String)
  /// Another state directory than the one that was greeted is served there now: what it
  /// does not have says nothing about the image.
  case otherStateDirectory(Endpoint)
  /// The service has no image of that name or UUID.
  case unknownImage(String, Endpoint)
  /// The image is thawed.
  case thawed(String)
  /// The service speaks no protocol version, or lacks an ability, that is needed.
  case incompatible(Endpoint, reason: String)
  /// The service answered that it cannot.
  case refused(String)
  /// What came is not what was sent, or makes no sense.
  case corrupt(String)
  /// The representation cannot be kept on this host.
  case cannotKeep(String)
}

extension ServiceError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreachable(let endpoint, let reason):
      "no service answers at \(endpoint): \(reason) (is “floe serve” running there?)"
    case .otherStateDirectory(let endpoint):
      "another state directory is being served at \(endpoint)"
    case .unknownImage(let image, let endpoint):
      "the service at \(endpoint) has no image “\(image)”"
    case .thawed(let reason): "the image is no longer frozen: \(reason)"
    case .incompatible(let endpoint, let reason):
      "the service at \(endpoint) cannot be used: \(reason)"
    case .refused(let reason): "the production host cannot answer: \(reason)"
    case .corrupt(let reason): "what the production host sent cannot be used: \(reason)"
    case .cannotKeep(let reason): "the representation cannot be kept: \(reason)"
    }
  }
}

extension ServiceError {
  /// Sorts what a call ended with. Only a status that the service marked as its own
  /// choice is an answer; anything else is a failure on the way.
  ///
  /// - Parameter stateDirectory: the one whose final “no” is believed; `nil` before the
  ///   service said which it serves.
  init(_ error: any Error, at endpoint: Endpoint, of stateDirectory: UniqueIdentifier?) {
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

  /// The same, as the reader of an image knows it.
  var asSourceError: SourceError {
    switch self {
    case .unreachable(let endpoint, let reason): .unreachable("\(endpoint): \(reason)")
    case .otherStateDirectory: .unreachable(description)
    case .thawed(let reason): .thawed(reason)
    case .unknownImage, .incompatible, .cannotKeep: .failed("\(self)")
    case .refused(let reason), .corrupt(let reason): .failed(reason)
    }
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
