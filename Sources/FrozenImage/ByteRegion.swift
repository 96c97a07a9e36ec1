/// Owns the bytes of a representation.
///
/// `bytes` is the same for as long as the owner lives, and nobody changes what it
/// points to.
public protocol ByteRegion: AnyObject, Sendable {
  var bytes: UnsafeRawBufferPointer { get }
}
