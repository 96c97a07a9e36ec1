import FoundationEssentials
import HostSystem

/// The machine's form of a report: one JSON object or array, keys sorted.
enum JSON {
  static func bytes(of report: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return (try? encoder.encode(report)).map(Array.init) ?? []
  }

  /// For a terminal or a pipe: what a terminal could obey is escaped, also where JSON would
  /// not need it.
  static func text(of report: some Encodable) -> String {
    let text = String(decoding: bytes(of: report), as: UTF8.self)
    guard text.unicodeScalars.contains(where: isObeyed) else { return text }
    // None of them stands outside a string.
    return text.unicodeScalars.reduce(into: "") { result, scalar in
      if isObeyed(scalar) {
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
  }

  /// DEL, the control characters of ISO 8859, and what turns the direction of writing.
  private static func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
    ("\u{7F}"..<"\u{A0}").contains(scalar) || VisibleText.isHidden(scalar)
  }

  static func report<Report: Decodable>(
    _ type: Report.Type, from bytes: some Sequence<UInt8>
  ) -> Report? {
    try? JSONDecoder().decode(type, from: Data(bytes))
  }
}
