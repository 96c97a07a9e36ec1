/// Bytes of a medium that are so for as long as a state of the mapping holds.
///
/// The configuration ID lies at fixed places, and a storage that goes back in time may
/// bring it back with another meaning: the volume numbers the same states again. A mark
/// lies where only this state has it, and covers what no second history repeats (of btrfs:
/// the checksum of the tree block that names the frozen snapshot). A medium that shows the
/// state's configuration ID and not its marks shows another state.
public struct StateMark: Hashable, Sendable {
  /// The medium that the mark lies on.
  public let medium: MediumID
  /// Bytes from the start of the medium.
  public let offset: UInt64
  /// What lies there, 1 through `maximumLength` bytes.
  public let bytes: [UInt8]

  /// Most bytes of a mark.
  public static let maximumLength = 512

  /// Most marks of a state.
  public static let maximumCount = 64

  /// `nil` when the bytes are too many or none, or their place is beyond any medium.
  public init?(medium: MediumID, offset: UInt64, bytes: [UInt8]) {
    guard (1...Self.maximumLength).contains(bytes.count), offset <= UInt64(Int64.max) else {
      return nil
    }
    self.medium = medium
    self.offset = offset
    self.bytes = bytes
  }
}
