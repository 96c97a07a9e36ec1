/// Identifies a storage medium within an image: the identifier that the volume
/// itself keeps on the medium (for btrfs the device's UUID).
public struct MediumID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let rawValue: UniqueIdentifier

  public init(rawValue: UniqueIdentifier) {
    self.rawValue = rawValue
  }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

  public var description: String { rawValue.description }
}

/// Some bytes at fixed places of a medium: windows that are read in one piece each,
/// and the fragments of them that count.
///
/// Identity and witness are the same mechanism. The *identity* fragments never
/// change while the medium is the right one; the *witness* fragments change
/// whenever the volume's mapping may have changed.
public struct Probe: Hashable, Sendable {
  /// A run of bytes inside the window.
  public struct Fragment: Hashable, Sendable {
    /// Bytes from the start of the window.
    public let offset: Int
    /// Bytes, at least 1.
    public let length: Int

    public init(offset: Int, length: Int) {
      self.offset = offset
      self.length = length
    }
  }

  /// A run of bytes of the medium that is read in one piece.
  public struct Window: Hashable, Sendable {
    /// Bytes from the start of the medium.
    public let offset: UInt64
    /// Bytes, 1 through `maximumLength`.
    public let length: Int
    /// The fragments that count, in ascending order, without overlap, inside the window.
    public let fragments: [Fragment]

    /// Most bytes that a window may have.
    public static let maximumLength = 32768

    /// `nil` when the window or a fragment is out of range.
    public init?(offset: UInt64, length: Int, fragments: [Fragment]) {
      guard (1...Self.maximumLength).contains(length),
        !offset.addingReportingOverflow(UInt64(length)).overflow, !fragments.isEmpty
      else { return nil }
      var previousEnd = 0
      for fragment in fragments {
        guard fragment.offset >= previousEnd, fragment.length > 0, fragment.length <= length,
          fragment.offset <= length - fragment.length
        else { return nil }
        previousEnd = fragment.offset + fragment.length
      }
      self.offset = offset
      self.length = length
      self.fragments = fragments
    }

    /// The bytes of the window that count, one after the other; `nil` when the count of
    /// bytes is not `length`.
    public func extract(from bytes: UnsafeRawBufferPointer) -> [UInt8]? {
      guard bytes.count == length else { return nil }
      return fragments.flatMap { bytes[$0.offset..<$0.offset + $0.length] }
    }
  }

  /// 1 through `maximumWindows`; what counts of them is taken in this order.
  public let windows: [Window]

  /// Most windows that a probe may have.
  public static let maximumWindows = 64

  /// Most bytes of a probe that may count.
  public static let maximumByteCount = 32768

  /// `nil` without a window, with too many, and when too many bytes count.
  public init?(windows: [Window]) {
    self.windows = windows
    guard (1...Self.maximumWindows).contains(windows.count), byteCount <= Self.maximumByteCount
    else { return nil }
  }

  /// A probe of one window; `nil` when the window or a fragment is out of range.
  public init?(offset: UInt64, length: Int, fragments: [Fragment]) {
    guard let window = Window(offset: offset, length: length, fragments: fragments) else {
      return nil
    }
    windows = [window]
  }

  /// How many bytes count.
  public var byteCount: Int {
    windows.lazy.flatMap(\.fragments).reduce(0) { $0 + $1.length }
  }
}

/// A storage medium as the representation and the production host describe it.
public struct MediumDescription: Hashable, Sendable {
  public let id: MediumID
  /// A short name for people, unique within the image ("devid 1").
  public let label: String
  /// Bytes that the volume uses of it; the medium may be larger, not smaller.
  public let size: UInt64
  /// Where the production host sees the medium ("/dev/sdb"): a hint for people only.
  public let path: String
  /// The hardware's own identifier (WWID), or empty when it has none. A device that shows
  /// another one is not the medium, whatever its bytes are.
  public let hardwareID: String
  /// Where the identity lies, and the bytes that it must have.
  public let identity: Probe
  /// `identity.byteCount` bytes, its windows one after the other.
  public let identityBytes: [UInt8]
  /// Where the medium's witness lies; `nil` when the stack has none.
  public let witness: Probe?

  public init(
    id: MediumID, label: String, size: UInt64, path: String, hardwareID: String,
    identity: Probe, identityBytes: [UInt8], witness: Probe?
  ) {
    self.id = id
    self.label = label
    self.size = size
    self.path = path
    self.hardwareID = hardwareID
    self.identity = identity
    self.identityBytes = identityBytes
    self.witness = witness
  }
}
