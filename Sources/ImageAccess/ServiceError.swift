public import FrozenImage
public import ImageReader

/// Why the production host's service did not do what a backup host asked, as one sentence.
public enum ServiceError: CodedError, Hashable {
  /// Nothing answers there now.
  case unreachable(ServiceEndpoint, reason: String)
  /// Another state directory than the one that was greeted is served there now: what it
  /// does not have says nothing about the image.
  case otherStateDirectory(ServiceEndpoint)
  /// The service has no image of that name or UUID.
  case unknownImage(String, ServiceEndpoint)
  /// The image is thawed.
  case thawed(String)
  /// The service speaks no protocol version, or lacks an ability, that is needed.
  case incompatible(ServiceEndpoint, reason: String)
  /// The service answered that it cannot.
  case refused(String)
  /// What came is not what was sent, or makes no sense.
  case corrupt(String)
  /// The representation cannot be kept on this host.
  case cannotKeep(String)
}

extension ServiceError {
  public var code: ErrorCode {
    switch self {
    case .unreachable, .otherStateDirectory: .unreachable
    case .unknownImage: .notFound
    case .thawed: .thawed
    case .incompatible: .unsupported
    case .refused: .failed
    case .corrupt: .malformed
    case .cannotKeep: .noRoom
    }
  }

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
  /// The same, as the reader of an image knows it.
  public var asSourceError: SourceError {
    switch self {
    case .unreachable(let endpoint, let reason): .unreachable("\(endpoint): \(reason)")
    case .otherStateDirectory: .unreachable(description)
    case .thawed(let reason): .thawed(reason)
    case .unknownImage, .incompatible, .cannotKeep: .failed("\(self)")
    case .refused(let reason), .corrupt(let reason): .failed(reason)
    }
  }
}
