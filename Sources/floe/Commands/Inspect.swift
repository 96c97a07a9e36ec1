import ArgumentParser
import FrozenImage
import ImageService
import LogicalRepresentation

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show an image, its media, stores and witness, or the chain of one of its files.")

  @Argument(help: "floe+unix:SOCKET/IMAGE, floe://HOST[:PORT]/IMAGE, or a representation's file.")
  var source: String

  @Argument(help: "A path inside the image.")
  var path: String?

  @Option(help: "Where the representation is kept, without a name, while it is read.")
  var cache = "/var/tmp"

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    LogDestination.use(background: false)
    let image = try OpenedImage(
      ImageSource(source), cache: cache, mountpoint: nil, timeouts: RemoteImage.Timeouts())
    defer { image.questions.close() }
    let representation = image.representation
    let root = try image.root(nil)
    let volume = try image.volume(of: root)
    guard let path else {
      let report = InspectReport(representation, volume)
      print(json ? JSON.text(of: report) : report.text)
      return
    }
    let node = try Self.node(at: path, below: root.node, in: representation)
    let report = try ChainReport(path: path, node: node, representation, volume)
    print(json ? JSON.text(of: report) : report.text)
  }

  /// Follows a path from the root; symbolic links are not followed.
  private static func node(
    at path: String, below root: NodeIndex, in representation: Representation
  ) throws -> NodeIndex {
    var node = root
    for name in PathText.bytes(of: path).split(separator: UInt8(ascii: "/"))
    where !name.elementsEqual(".".utf8) {
      guard try representation.attributes(of: node).type == .directory,
        let next = try Array(name).withUnsafeBytes({ try representation.lookup($0, in: node) })
      else { throw Failure("the image has no \(path)") }
      node = next
    }
    return node
  }
}
