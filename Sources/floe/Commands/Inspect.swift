import ArgumentParser
import FrozenImage
import ImageAccess
import ImageService
import LogicalRepresentation

struct Inspect: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Show an image, its media, stores and witness, or the chain of one of its files.")

  @Argument(help: SourceHelp.text)
  var source: String

  @Argument(help: "A path inside the image.")
  var path: String?

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while it is read.", valueName: "DIR"))
  var cache = "/var/tmp"

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var log: LogOptions

  func run() throws {
    LogDestination.use(background: false, log)
    let image = try OpenedImage(
      ImageSource(source), cache: cache, mountpoint: nil,
      connect: RemoteImage.connector(timeouts: RemoteImage.Timeouts()))
    defer { image.close() }
    let representation = image.representation
    let root = try image.root(nil)
    let volume = try image.volume(of: root)
    guard let path else {
      let report = InspectReport(representation, volume)
      print(json ? JSON.text(of: report) : report.text)
      return
    }
    let node = try representation.node(at: path, below: root.node)
    let report = try ChainReport(path: path, node: node, representation, volume)
    print(json ? JSON.text(of: report) : report.text)
  }
}
