import ArgumentParser
import FrozenImage
import Glibc
import ImageAccess
import LogicalRepresentation

struct Find: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Find files of an image by path, name, type, time and size; no mount is needed.",
    discussion: """
      PATTERN is compared with the whole path, from the image's top down and without a slash \
      before it; *, ? and [ ] match slashes too, as in find -path. An entry is printed when all \
      that is asked holds for it.
      """)

  @Argument(help: SourceHelp.text)
  var source: String

  @Argument(help: "A pattern of the path, such as '*.conf' or 'home/*/.ssh/*'.")
  var pattern: String?

  @Option(help: ArgumentHelp("A pattern of the last name; may be repeated.", valueName: "GLOB"))
  var name: [String] = []

  @Option(
    help: ArgumentHelp(
      "One of these types, with commas: f, d, l, b, c, p, s, as in find(1).", valueName: "LETTERS"))
  var type: Types?

  @Option(
    help: ArgumentHelp(
      "Changed after this time: YYYY-MM-DD, with HH:MM or HH:MM:SS behind it, @SECONDS since "
        + "1970, or the path of a file on this host, whose time is meant.", valueName: "TIME"))
  var newer: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Files of this size in bytes, with + of more and with - of less; K, M, G and T are powers "
        + "of 1024. May be repeated.", valueName: "[+-]N"))
  var size: [Size] = []

  @OptionGroup var listing: ListingOptions

  var json: Bool { listing.json }

  /// Letters of find(1).
  struct Types: ExpressibleByArgument {
    static let letters: [String: FileType] = [
      "f": .regular, "d": .directory, "l": .symbolicLink, "b": .blockDevice,
      "c": .characterDevice, "p": .fifo, "s": .socket,
    ]
    let types: Set<FileType>

    init?(argument: String) {
      let found = argument.split(separator: ",").map { Self.letters[String($0)] }
      guard !found.isEmpty, !found.contains(nil) else { return nil }
      types = Set(found.compactMap { $0 })
    }
  }

  /// A size that files are compared with.
  struct Size: ExpressibleByArgument {
    let test: EntryCriteria.SizeTest

    init?(argument: String) {
      let order: EntryCriteria.SizeTest.Order =
        argument.hasPrefix("+") ? .more : argument.hasPrefix("-") ? .less : .equal
      let number = order == .equal ? argument : String(argument.dropFirst())
      guard let bytes = number == "0" ? 0 : ByteCount(argument: number)?.bytes else { return nil }
      test = EntryCriteria.SizeTest(order, bytes)
    }
  }

  func run() throws {
    var criteria = EntryCriteria()
    criteria.paths = pattern.map { [String($0.drop { $0 == "/" })] } ?? []
    criteria.names = name
    criteria.types = type?.types ?? []
    criteria.sizes = size.map(\.test)
    criteria.newerThan = try newer.map { try NamedTime.time($0) }
    let image = try listing.open(source)
    defer { image.close() }
    let tree = try ListedTree(image, at: "")
    var output = EntryListing(listing.form(), of: tree.representation)
    let isComplete = try tree.forEach(isDeep: true) { entry in
      let attributes = try? tree.representation.attributes(of: entry.node)
      if criteria.hold(path: entry.path, type: entry.type, attributes) { try output.show(entry) }
    }
    try output.end()
    if !isComplete { throw SilentExit(status: EXIT_FAILURE) }
  }
}
