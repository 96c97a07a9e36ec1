import FrozenFS
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageReader
import Logging
import LogicalRepresentation
import SystemPackage

/// A mount as the user asked for it, and what makes it of floe's modules.
struct MountRequest {
  let source: String
  let mountpoint: String
  /// The directory for the representation.
  let cache: String
  var reading = ReaderRequest()
  /// The service that the user names for a representation's file.
  var service: ServiceAddress?
  var cacheLimit = CacheLimit.standard
  var json = false
  /// What is shown; `nil` for the files, or the volume where there are none.
  var view: Root.View?
  private var fuseOptions: [String] = []

  init(source: String, mountpoint: String, cache: String) {
    self.source = source
    self.mountpoint = mountpoint
    self.cache = cache
  }

  /// Takes the words of `-o`: floe's own, and the rest for FUSE.
  mutating func take(options: [String]) throws {
    for word in options.flatMap({ $0.split(separator: ",").map(String.init) }) {
      if word.hasPrefix("medium=") {
        let named = try ReaderRequest.media(from: [String(word.dropFirst("medium=".count))])
        reading.media.merge(named) { _, last in last }
      } else if word.hasPrefix("remap-timeout=") {
        guard let seconds = Double(word.dropFirst("remap-timeout=".count)), seconds > 0,
          seconds < 1e6
        else { throw Failure(.invalid, "“\(word)” is not a number of seconds above 0") }
        reading.remapTimeout = seconds
      } else {
        fuseOptions.append(word)
      }
    }
  }

  /// Mounts, and answers until it is unmounted.
  func serve(ready: () -> Void) throws {
    let source = try ImageSource(source)
    // What can be wrong on this host is told before anything is fetched.
    try FrozenMount.checkMountpoint(mountpoint)
    let image = try OpenedImage(
      source, cache: cache, limit: cacheLimit, mountpoint: mountpoint, service: service,
      asksNobody: reading.answers == .media, connect: reading.connector)
    defer { image.close() }
    let root = try image.root(view)
    let taken = TakenMedia()
    let tally = AnswerTally()
    let reader = try reading.makeReader(
      of: image, volume: image.volume(of: root), taken: taken, tally: tally)
    if let warning = try FirstLook(at: reader, image: image).warning() {
      Logger(label: "floe.mount").warning("\(warning)")
      // From the background the log goes elsewhere, and who mounts still listens here.
      if LogDestination.isElsewhere { printError("floe: warning: \(warning)") }
    }
    let mount = try FrozenMount(
      tree: image.representation, root: root.node, contents: reader,
      control: ControlAttributes(
        reader: reader, root: root.node, address: image.serviceName, tally: tally,
        liveCheck: {
          do throws(SourceError) {
            try image.productionHost.liveCheck()
            return nil
          } catch {
            return error
          }
        }, fill: { image.productionHost.fill() }),
      mountpoint: mountpoint,
      options: MountOptions(source: source.description, fuseOptions: fuseOptions),
      logger: Logger(label: "floe.mount"))
    var logger = Logger(label: "floe.mount")
    logger[metadataKey: "image"] = "\(image.representation.image.name)"
    logger[metadataKey: "mountpoint"] = "\(mountpoint)"
    try mount.serve {
      let report = MountReport(
        image.representation.image, at: HostPath.absolute(mountpoint),
        service: image.serviceName, media: taken)
      print(json ? JSON.text(of: report) : report.text)
      // Standard output leads nowhere in the background.
      fflush(nil)
      logger.notice("mounted from \(source)")
      ready()
    }
    logger.notice("unmounted")
  }
}
