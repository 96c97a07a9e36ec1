public import ImageReader

/// An image's provider, as the service calls it. Calls block and are made on threads of
/// the image's own.
public protocol ServedImage: MappingSource {
  /// Asks whether the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  func liveCheck() throws(SourceError)
}
