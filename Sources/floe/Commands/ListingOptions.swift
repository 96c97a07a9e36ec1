import ArgumentParser
import FrozenImage
import HostSystem
import ImageAccess
import ImageService
import LogicalRepresentation

/// The options of the commands that list an image's entries.
struct ListingOptions: ParsableArguments {
  @Flag(
    name: [.customShort("0"), .customLong("null")],
    help: ArgumentHelp(
      "Print the paths' own bytes, with ./ before and a zero byte behind each, for xargs -0 and its "
        + "like."))
  var null = false

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while it is read.", valueName: "DIR"))
  var cache = "/var/tmp"

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var log: LogOptions

  func form(isLong: Bool = false) -> EntryListing.Form {
    if json { return .json }
    return null ? .bytes : isLong ? .long : .paths
  }

  func validate() throws {
    if null, json { throw ValidationError("it is either -0 or --json") }
  }

  /// Opens an image of which the representation alone is looked at.
  func open(_ source: String) throws -> OpenedImage {
    LogDestination.use(background: false, log)
    return try representation(of: source)
  }

  /// Opens two images of which the representations are compared.
  func open(_ source: String, and other: String) throws -> (OpenedImage, OpenedImage) {
    let first = try open(source)
    do {
      return (first, try representation(of: other))
    } catch {
      first.close()
      throw error
    }
  }

  private func representation(of source: String) throws -> OpenedImage {
    try OpenedImage(
      ImageSource(source), cache: cache, mountpoint: nil,
      connect: RemoteImage.connector(timeouts: RemoteImage.Timeouts()))
  }
}

/// What the user asks to list: a directory with what is in it, or something else alone.
struct ListedTree {
  let representation: Representation
  private let node: NodeIndex
  private let path: [UInt8]

  /// - Parameter path: in the image; "" for its top.
  init(_ image: OpenedImage, at path: String) throws {
    representation = image.representation
    node = try representation.node(at: path, below: image.root(.tree).node)
    self.path = Array(
      PathText.bytes(of: path).split(separator: UInt8(ascii: "/"))
        .filter { $0 != [UInt8(ascii: ".")] }.joined(separator: [UInt8(ascii: "/")]))
  }

  /// Hands out the entries.
  ///
  /// - Parameter tellsProblems: whether directories of which not all could be read are named.
  /// - Returns: whether all could be read when the image was frozen.
  func forEach(
    isDeep: Bool, tellsProblems: Bool = true, _ body: (TreeWalk.Entry) throws -> Void
  ) throws -> Bool {
    let type = try representation.attributes(of: node).type
    guard type == .directory else {
      try body(TreeWalk.Entry(node: node, type: type, path: path))
      return true
    }
    var isComplete = true
    try TreeWalk(of: representation).forEach(
      below: node, at: path, isDeep: isDeep,
      failed: { path, error in
        isComplete = false
        guard tellsProblems else { return }
        printError("floe: \(path.isEmpty ? "/" : PathText.text(of: path)): \(error)")
      }, body)
    return isComplete
  }
}
