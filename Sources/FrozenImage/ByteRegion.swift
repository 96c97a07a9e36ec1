/// Owns the bytes of a representation.
///
/// `bytes` is the same for as long as the owner lives, and nobody changes what it
/// points to.
public protocol ByteRegion: AnyObject, Sendable {
  /// All of the representation, valid while the owner lives.
  var bytes: UnsafeRawBufferPointer { get }
}
