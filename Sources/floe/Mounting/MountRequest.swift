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
  private var fuseOptions: [String] = []

  init(source: String, mountpoint: String, cache: String) {
    // The process leaves its directory when it goes into the background, and names
    // are used again later: to connect anew, to find a medium that was lost.
    let unix = "floe+unix:"
    self.source =
      source.hasPrefix(unix)
      ? unix + MountTable.absolute(String(source.dropFirst(unix.count))) : source
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
    let address = try ServiceAddress(source)
    // What can be wrong on this host is told before anything is fetched.
    try FrozenMount.checkMountpoint(mountpoint)
    let remote = try RemoteImage.connect(
      to: address, timeouts: timeouts, logger: Logger(label: "floe.wire"))
    defer { remote.close() }
    // Before the fetch, so that the image is not thawed under it.
    try remote.startSession(
      backupHost: HostName.current, mountpoint: MountTable.absolute(mountpoint))
    let representation = try Self.fetch(remote, into: cache)
    let reader = try makeReader(of: representation, asking: remote)
    let root = try Self.root(of: representation)
    let mount = try FrozenMount(
      tree: representation, root: root, contents: reader,
      control: ControlAttributes(
        reader: reader, root: root, address: source,
        liveCheck: {
          do throws(SourceError) {
            try remote.liveCheck()
            return nil
          } catch {
            return error
          }
        }),
      mountpoint: mountpoint, options: MountOptions(source: source, fuseOptions: fuseOptions),
      logger: Logger(label: "floe.mount"))
    try mount.serve(ready: ready)
  }

  private var timeouts: RemoteImage.Timeouts {
    var timeouts = RemoteImage.Timeouts()
    timeouts.call = .seconds(max(1, remapTimeout))
    return timeouts
  }

  /// Fetches a representation of unknown origin, and checks all of it.
  static func fetch(_ remote: RemoteImage, into directory: String) throws -> Representation {
    let descriptor = try remote.fetchRepresentation(into: FilePath(directory))
    let representation = try Representation(MappedFile(descriptor: descriptor))
    try representation.check()
    guard representation.image.id == remote.summary.id else {
      throw Failure(
        "the service gave the representation of image \(representation.image.id), not of "
          + "\(remote.summary.id)")
    }
    return representation
  }

  static func root(of representation: Representation) throws -> NodeIndex {
    guard let root = representation.roots.first else {
      throw Failure("the representation has no root")
    }
    return root.node
  }

  private func makeReader(
    of representation: Representation, asking remote: RemoteImage
  ) throws -> BlockingReader {
    guard let root = representation.roots.first,
      representation.volumes.indices.contains(root.volume)
    else { throw Failure("the representation has no volume") }
    let volume = representation.volumes[root.volume]
    let finder = MediumFinder(named: media)
    try finder.checkNames(against: volume.media)
    var options = BlockingReader.Options()
    options.limits.remapTimeout = UInt64(remapTimeout * 1e9)
    options.verifiesChecksums = verifiesChecksums
    return try BlockingReader(
      representation: representation, volume: volume,
      media: MediaTable { description, witness in
        try finder.find(description, witness: witness)
      }, source: remote, options: options, logger: Logger(label: "floe.reader"))
  }
}
