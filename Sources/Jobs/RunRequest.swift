public import FrozenImage
public import HostSystem

/// An image that a job is to run over.
public struct RunImage: Hashable, Sendable {
  public let id: UniqueIdentifier
  /// What the job knows it by, the same every night.
  public let label: String

  public init(id: UniqueIdentifier, label: String) {
    self.id = id
    self.label = label
  }
}

/// A run that a production host wants.
public struct RunRequest: Hashable, Sendable {
  /// Most images of one run.
  public static let maximumImages = 64

  public let id: UniqueIdentifier
  /// The job's name in the agent's configuration.
  public let job: String
  /// The production host's name.
  public let host: String
  /// At least one, each with a label of its own.
  public let images: [RunImage]
  /// The Unix socket at which the production host's service is found.
  public let socket: String

  /// - Throws: `Failure` when a name could lead elsewhere in a path or a command, two images
  ///   have the same, or there are none or too many.
  public init(
    id: UniqueIdentifier, job: String, host: String, images: [RunImage], socket: String
  ) throws(Failure) {
    guard PathName.isValid(host) else { throw PathName.refusal("the production host's name", host) }
    guard (1...Self.maximumImages).contains(images.count) else {
      throw Failure(.invalid, "a run has 1 to \(Self.maximumImages) images")
    }
    for image in images where !PathName.isValid(image.label) {
      throw PathName.refusal("an image's name", image.label)
    }
    guard Set(images.map(\.label)).count == images.count else {
      throw Failure(.invalid, "two images of the run have the same name")
    }
    guard socket.hasPrefix("/"), socket.utf8.count <= 103 else {
      throw Failure(.invalid, "“\(socket)” is not the absolute path of a socket")
    }
    self.id = id
    self.job = job
    self.host = host
    self.images = images
    self.socket = socket
  }
}
