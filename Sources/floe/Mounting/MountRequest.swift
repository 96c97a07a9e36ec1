import FrozenFS
import FrozenImage
import ImageReader
import ImageService
import LinuxIO
import Logging
import SystemPackage

/// A mount as the user asked for it, and what makes it of floe's modules.
struct MountRequest {
  let source: String
  let mountpoint: String
  /// The directory for the representation.
  let cache: String
  /// Paths of media, by the name that the user gave.
  var media: [String: String] = [:]
  /// Seconds.
  var remapTimeout: Double = 30
  var verifiesChecksums = true
  /// What is shown; `nil` for the files, or the volume where there are none.
  var view: Root.View?
  private var fuseOptions: [String] = []

  init(source: String, mountpoint: String, cache: String) {
    self.source = source
    self.mountpoint = mountpoint
    self.cache = cache
  }

  /// Reads `ID=PATH` words.
  static func media(from words: [String]) throws -> [String: String] {
    var media: [String: String] = [:]
    for word in words {
      guard let equals = word.firstIndex(of: "="), equals != word.startIndex,
        word.index(after: equals) != word.endIndex
      else { throw Failure("“\(word)” is not ID=PATH") }
      media[String(word[..<equals])] = MountTable.absolute(
        String(word[word.index(after: equals)...]))
    }
    return media
  }

  /// Takes the words of `-o`: floe's own, and the rest for FUSE.
  mutating func take(options: [String]) throws {
    for word in options.flatMap({ $0.split(separator: ",").map(String.init) }) {
      if word.hasPrefix("medium=") {
        let named = try Self.media(from: [String(word.dropFirst("medium=".count))])
        media.merge(named) { _, last in last }
      } else if word.hasPrefix("remap-timeout=") {
        guard let seconds = Double(word.dropFirst("remap-timeout=".count)), seconds > 0,
          seconds < 1e6
        else { throw Failure("“\(word)” is not a number of seconds above 0") }
        remapTimeout = seconds
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
    let image = try OpenedImage(source, cache: cache, mountpoint: mountpoint, timeouts: timeouts)
    let questions = image.questions
    defer { questions.close() }
    let root = try image.root(view)
    let reader = try makeReader(of: image, volume: image.volume(of: root))
    let mount = try FrozenMount(
      tree: image.representation, root: root.node, contents: reader,
      control: ControlAttributes(
        reader: reader, root: root.node, address: questions.serviceName,
        liveCheck: {
          do throws(SourceError) {
            try questions.liveCheck()
            return nil
          } catch {
            return error
          }
        }),
      mountpoint: mountpoint,
      options: MountOptions(source: source.description, fuseOptions: fuseOptions),
      logger: Logger(label: "floe.mount"))
    try mount.serve(ready: ready)
  }

  private var timeouts: RemoteImage.Timeouts {
    var timeouts = RemoteImage.Timeouts()
    timeouts.call = .seconds(max(1, remapTimeout))
    return timeouts
  }

  private func makeReader(
    of image: OpenedImage, volume: VolumeDescription
  ) throws -> BlockingReader {
    let finder = MediumFinder(named: media)
    try finder.checkNames(against: volume.media)
    var options = BlockingReader.Options()
    options.limits.remapTimeout = UInt64(remapTimeout * 1e9)
    // Where nobody can be asked, waiting helps only a commit that is half on the media.
    if image.questions is NoQuestions {
      options.limits.remapTimeout = min(options.limits.remapTimeout, 1_000_000_000)
    }
    options.verifiesChecksums = verifiesChecksums
    return try BlockingReader(
      representation: image.representation, volume: volume,
      media: MediaTable { description, witness in
        try finder.find(description, witness: witness)
      }, source: image.questions, options: options, logger: Logger(label: "floe.reader"))
  }
}
