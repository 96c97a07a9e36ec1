/// Which md arrays this host assembles by itself, as mdadm.conf(5) says.
struct ArrayAssembly {
  /// Words of the lines, the keyword first; comments and continuations are gone.
  private let lines: [[String]]

  /// Where mdadm looks (mdadm.conf(5), and Debian's place).
  private static let places = [
    "/etc/mdadm/mdadm.conf", "/etc/mdadm.conf", "/etc/mdadm/mdadm.conf.d", "/etc/mdadm.conf.d",
  ]

  init(_ files: HostFiles) {
    let main = Self.places.prefix(2).lazy.compactMap { files.text($0) }.first ?? ""
    let more = Self.places.dropFirst(2).flatMap { place in
      files.names(in: place).filter { $0.hasSuffix(".conf") }
        .compactMap { files.text("\(place)/\($0)") }
    }
    self.init(text: ([main] + more).joined(separator: "\n"))
  }

  init(text: String) {
    var lines: [[String]] = []
    for line in text.split(whereSeparator: \.isNewline) {
      let isContinued = line.first?.isWhitespace ?? false
      let words = line.split(whereSeparator: \.isWhitespace).prefix { !$0.hasPrefix("#") }
        .map(String.init)
      guard !words.isEmpty else { continue }
      if isContinued, !lines.isEmpty {
        lines[lines.count - 1] += words
      } else {
        lines.append(words)
      }
    }
    self.lines = lines
  }

  /// Why an array is, or is not, assembled.
  enum Decision: Hashable {
    /// An ARRAY line names it.
    case named
    /// No line says otherwise.
    case automatic
    /// An ARRAY line has <ignore>.
    case ignored
    /// AUTO refuses its metadata.
    case refused
  }

  /// - Parameters:
  ///   - identifier: the array's, in whatever form.
  ///   - version: of its metadata, "1.2" or "0.90.0".
  func decision(for identifier: String, version: String) -> Decision {
    let wanted = Self.digits(identifier)
    for line in lines where Self.isKeyword(line[0], "array") {
      let named = line.contains { word in
        word.lowercased().hasPrefix("uuid=") && Self.digits(String(word.dropFirst(5))) == wanted
      }
      if named { return line.contains("<ignore>") ? .ignored : .named }
    }
    let family = version.hasPrefix("0") ? "0.90" : "1.x"
    // The first word that fits decides; an array of another host's is not “homehost”.
    let words = lines.first { Self.isKeyword($0[0], "auto") }?.dropFirst() ?? []
    for word in words.map({ $0.lowercased() }) {
      if word == "+all" || word == "+\(family)" { return .automatic }
      if word == "-all" || word == "-\(family)" { return .refused }
    }
    return .automatic
  }

  /// Keywords may be shortened to three letters, in any case.
  private static func isKeyword(_ word: String, _ keyword: String) -> Bool {
    word.count >= 3 && keyword.hasPrefix(word.lowercased())
  }

  private static func digits(_ identifier: String) -> String {
    identifier.lowercased().filter(\.isHexDigit)
  }
}
