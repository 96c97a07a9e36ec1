/// A 128-bit identifier as RFC 9562 writes it (an image, a volume, a medium).
///
/// The core has no Foundation, so it brings its own: sixteen bytes, in the order
/// in which they lie on a medium and in which the text form shows them.
public struct UniqueIdentifier: Hashable, Sendable {
  /// Bytes 0–7 of the identifier, as a big-endian number.
  public let high: UInt64
  /// Bytes 8–15 of the identifier, as a big-endian number.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The identifier made of exactly sixteen bytes; `nil` for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for (position, byte) in bytes.enumerated() {
      if position < 8 {
        high = high << 8 | UInt64(byte)
      } else {
        low = low << 8 | UInt64(byte)
      }
    }
    self.init(high: high, low: low)
  }

  /// A random identifier (RFC 9562, version 4).
  public static func random() -> UniqueIdentifier {
    let high = UInt64.random(in: .min ... .max) & ~0xF000 | 0x4000
    let low = UInt64.random(in: .min ... .max) & ~(0b11 << 62) | 0b10 << 62
    return UniqueIdentifier(high: high, low: low)
  }

  /// The sixteen bytes, first byte first.
  public var bytes: [UInt8] {
    [high, low].flatMap { half in
      stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> UInt64($0)) }
    }
  }
}

extension UniqueIdentifier: Comparable {
  public static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension UniqueIdentifier: CustomStringConvertible, LosslessStringConvertible {
  /// The text form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in lower case.
  public var description: String {
    let bytes = bytes
    return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { bytes[$0].hexadecimal }
      .joined(separator: "-")
  }

  /// Reads the text form, in either case; `nil` for anything else.
  public init?(_ description: String) {
    var digits = Array(description.utf8)
    guard digits.count == 36 else { return nil }
    for position in [23, 18, 13, 8] {
      guard digits.remove(at: position) == UInt8(ascii: "-") else { return nil }
    }
    guard let bytes = [UInt8](hexadecimal: String(decoding: digits, as: UTF8.self)) else {
      return nil
    }
    self.init(bytes: bytes)
  }
}
