import ArgumentParser
import HostSystem
import ImageAccess

/// The options of every command that reads an image's bytes without a mount.
struct ReadingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Take the medium at PATH for the one that the image calls ID; may be repeated.",
      valueName: "ID=PATH"))
  var medium: [String] = []

  @Option(help: ArgumentHelp("How many files are read at once: 1 to 64.", valueName: "N"))
  var threads = 4

  @Option(
    help: ArgumentHelp(
      "Seconds that a read waits for a valid mapping before it fails; at most 1 for a file that "
        + "names no service and whose media do not tell.", valueName: "SECONDS"))
  var remapTimeout: Double = 30

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while it is read.", valueName: "DIR"))
  var cache = "/var/tmp"

  @OptionGroup var trust: TrustOptions

  func validate() throws {
    guard (1...64).contains(threads) else {
      throw ValidationError("the count of threads is 1 through 64")
    }
    guard remapTimeout > 0, remapTimeout < 1e6 else {
      throw ValidationError("the remap timeout is a number of seconds above 0")
    }
  }

  /// How the image is to be read.
  func request() throws -> ReaderRequest {
    var request = ReaderRequest()
    request.media = try ReaderRequest.media(from: medium)
    request.remapTimeout = remapTimeout
    request.limits = try trust.limits()
    request.storageAnswerers = ReaderRequest.allStorageAnswerers
    return request
  }

  /// Opens an image to read it.
  ///
  /// - Parameter reader: who reads it, as the production host shows it in place of a mount point.
  func open(_ source: String, for reader: String, _ request: ReaderRequest) throws -> OpenedImage {
    try OpenedImage(
      ImageSource(source), cache: cache, limit: CacheLimit(bytes: trust.cacheLimit),
      mountpoint: "(floe \(reader))", service: trust.address(), connect: request.connector)
  }
}

/// What every SOURCE can be, for --help.
enum SourceHelp {
  static let text: ArgumentHelp =
    "ssh://[USER@]HOST/IMAGE, floe+unix:SOCKET/IMAGE, floe://HOST[:PORT]/IMAGE, or a representation's file."
}
