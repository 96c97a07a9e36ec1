import ArgumentParser
import FrozenFS
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import Logging

struct Mount: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Mount an image and read its data straight from the storage.",
    discussion: """
      Fetches or copies the representation, finds the media and verifies the identity of each, \
      and goes into the background once the mount answers. Prints the media that it took.
      """)

  @Argument(help: SourceHelp.text)
  var source: String

  @Argument(help: "A directory.")
  var mountpoint: String

  @Option(
    help: ArgumentHelp(
      "Take the medium at PATH for the one that the image calls ID; may be repeated. Others are "
        + "looked for among the block devices.", valueName: "ID=PATH"))
  var medium: [String] = []

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp(
      "Mount options, such as allow_other; also medium=ID=PATH and remap-timeout=SECONDS.",
      valueName: "OPTION,…"))
  var options: [String] = []

  @Option(
    help: ArgumentHelp(
      "What to show: the image's files (tree) or its volume as a raw file (volume).",
      valueName: "tree|volume"))
  var view: ViewName?

  @Option(
    help: ArgumentHelp(
      "Seconds that a read waits for a valid mapping before it fails with EIO; at most 1 for a "
        + "file that names no service and whose media do not tell.", valueName: "SECONDS"))
  var remapTimeout: Double = 30

  @Flag(
    help: ArgumentHelp(
      "Do not verify data checksums; the read rule holds all the same. What is mirrored is then "
        + "read through the production host, as nothing tells a stale copy, unless the metadata of "
        + "the mirror prove that the copies are in sync."))
  var noVerify = false

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while the image is mounted.",
      valueName: "DIR"))
  var cache = "/var/tmp"

  @Option(
    help: ArgumentHelp(
      "Who says where the image lies when something moved: the storage itself where it can, else "
        + "the production host (storage); the storage alone, for copies of all media of one "
        + "moment (media); the production host alone (host); or both, which are compared (both): "
        + "reads fail when they differ.", valueName: "storage|media|host|both"))
  var answers = AnswersName.storage

  @OptionGroup var trust: TrustOptions

  @OptionGroup var log: LogOptions

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Stay in the foreground and log to standard error.")
  var foreground = false

  @Option(help: .private)
  var readyDescriptor: Int32?

  func validate() throws {
    guard remapTimeout > 0, remapTimeout < 1e6 else {
      throw ValidationError("the remap timeout is a number of seconds above 0")
    }
  }

  enum ViewName: String, ExpressibleByArgument {
    case tree, volume

    var view: Root.View { self == .tree ? .tree : .volume }
  }

  enum AnswersName: String, ExpressibleByArgument, CaseIterable {
    case storage, media, host, both

    var choice: AnswerChoice {
      switch self {
      case .storage: .storage
      case .media: .media
      case .host: .host
      case .both: .both
      }
    }
  }

  func run() throws {
    var request = MountRequest(source: source, mountpoint: mountpoint, cache: cache)
    request.reading.media = try ReaderRequest.media(from: medium)
    request.reading.remapTimeout = remapTimeout
    request.reading.verifiesChecksums = !noVerify
    request.reading.answers = answers.choice
    request.reading.storageAnswerers = ReaderRequest.allStorageAnswerers
    request.view = view?.view
    request.reading.limits = try trust.limits()
    request.service = try trust.address()
    request.cacheLimit = CacheLimit(bytes: trust.cacheLimit)
    request.json = json
    try request.take(options: options)
    guard foreground || readyDescriptor != nil else {
      return try Daemon.start(
        adding: ["--ready-descriptor", "\(Daemon.readyDescriptor)"])
    }
    LogDestination.use(background: readyDescriptor != nil, log)
    guard readyDescriptor != nil else { return try request.serve(ready: {}) }
    var isReady = false
    do {
      try request.serve(ready: {
        isReady = true
        if !Daemon.reportReady() { kill(getpid(), SIGTERM) }
      })
    } catch {
      // Standard error leads nowhere by now.
      if isReady { Logger(label: "floe.mount").error("\(error)") }
      throw error
    }
  }
}
