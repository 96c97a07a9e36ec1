import FoundationEssentials

/// The machine's form of a report: one JSON object or array, keys sorted.
enum JSON {
  static func bytes(of report: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return (try? encoder.encode(report)).map(Array.init) ?? []
  }

  static func text(of report: some Encodable) -> String {
    String(decoding: bytes(of: report), as: UTF8.self)
  }

  static func report<Report: Decodable>(
    _ type: Report.Type, from bytes: some Sequence<UInt8>
  ) -> Report? {
    try? JSONDecoder().decode(type, from: Data(bytes))
  }
}
