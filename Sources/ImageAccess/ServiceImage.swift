public import FrozenImage
public import HostSystem
public import ImageReader
public import SystemPackage

/// An image that a service has, as a backup host reaches it over whatever wire.
public protocol ServiceImage: AnyObject, ProductionHost {
  /// The image's own, by which every question names it.
  var id: UniqueIdentifier { get }

  /// How the image was asked for.
  var address: ServiceAddress { get }

  /// Fetches the representation into a file of the directory that has no name, so that
  /// nobody else can change it.
  ///
  /// - Parameter limit: how much room it may take.
  /// - Returns: a descriptor that the caller owns; all bytes are there, as they were sent.
  func fetchRepresentation(
    into directory: FilePath, limit: CacheLimit
  ) throws(ServiceError) -> FileDescriptor

  /// Tells the service that the image is mounted here, now and from then on, so that it is
  /// not thawed meanwhile.
  ///
  /// - Parameters:
  ///   - backupHost: this host's name, for people.
  ///   - mountpoint: for people.
  func startSession(backupHost: String, mountpoint: String) throws(ServiceError)

  /// Ends the session and the line.
  func close()
}

/// Connects to a service and finds the image that an address names. Blocks.
public typealias ServiceConnector =
  @Sendable (ServiceAddress) throws(ServiceError) -> any ServiceImage

extension ServiceImage {
  /// Tells the production host that the image is mounted here.
  func startSession(for mountpoint: String) throws(ServiceError) {
    try startSession(backupHost: HostName.current, mountpoint: HostPath.absolute(mountpoint))
  }
}
