import ArgumentParser

/// A size as people type it: "800", "512m", "2G"; units are powers of 1024, bytes without one.
struct ByteCount: ExpressibleByArgument, Hashable {
  /// Bytes.
  let bytes: UInt64

  /// - Returns: `nil` when it is none, is zero, or has more than 63 bits.
  init?(argument: String) {
    let units = ["b", "k", "m", "g", "t", "p"]
    var digits = argument[...]
    var shift = 0
    if let last = argument.last?.lowercased(), let unit = units.firstIndex(of: last) {
      digits = digits.dropLast()
      shift = unit * 10
    }
    guard digits.allSatisfy({ ("0"..."9").contains($0) }), let number = UInt64(digits),
      number > 0, number < 1 << UInt64(63 - shift)
    else { return nil }
    bytes = number << UInt64(shift)
  }
}
