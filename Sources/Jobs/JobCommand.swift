import FrozenImage
public import HostSystem

/// The command of a job: its words, with places for what a run knows. No shell sees it.
///
/// The places are `{mount}`, `{image}` and `{host}`; `{{` and `}}` stand for a brace.
public struct JobCommand: Hashable, Sendable {
  private enum Part: Hashable {
    case text(String)
    case place(Place)
  }

  /// What stands in braces.
  enum Place: String, CaseIterable {
    /// Where the image is mounted.
    case mount
    /// The image's label.
    case image
    /// The production host's name.
    case host
  }

  private let words: [[Part]]

  /// - Parameter words: the program and its arguments.
  /// - Throws: `Failure` when there is no program, or braces hold anything else.
  public init(_ words: [String]) throws(Failure) {
    guard let program = words.first, !program.isEmpty else {
      throw Failure(.invalid, "its command is empty")
    }
    var parsed: [[Part]] = []
    for word in words { parsed.append(try Self.parts(of: word)) }
    self.words = parsed
  }

  /// Whether the image's label is asked for.
  var namesImage: Bool { words.contains { $0.contains(.place(.image)) } }

  /// The words of one run.
  ///
  /// - Parameters:
  ///   - mount: an absolute path.
  ///   - image: a label; no word for a run over several images.
  ///   - host: the production host's name.
  func words(mount: String, image: String, host: String) -> [String] {
    words.map { parts in
      parts.map { part in
        switch part {
        case .text(let text): text
        case .place(.mount): mount
        case .place(.image): image
        case .place(.host): host
        }
      }.joined()
    }
  }

  private static func parts(of word: String) throws(Failure) -> [Part] {
    var parts: [Part] = []
    var text = ""
    var rest = word[...]
    while let letter = rest.popFirst() {
      switch letter {
      case "{" where rest.first == "{", "}" where rest.first == "}":
        text.append(letter)
        rest = rest.dropFirst()
      case "{":
        guard let end = rest.firstIndex(of: "}"), let place = Place(rawValue: String(rest[..<end]))
        else {
          let places = Place.allCases.map { "{\($0.rawValue)}" }.joined(separator: ", ")
          throw Failure(
            .invalid, "“\(word)” has a brace that begins none of \(places); write {{ for a brace")
        }
        if !text.isEmpty { parts.append(.text(text)) }
        text = ""
        parts.append(.place(place))
        rest = rest[rest.index(after: end)...]
      case "}": throw Failure(.invalid, "“\(word)” has a brace too many; write }} for a brace")
      default: text.append(letter)
      }
    }
    if !text.isEmpty { parts.append(.text(text)) }
    return parts
  }
}
