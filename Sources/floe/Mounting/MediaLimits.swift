import ArgumentParser
import FrozenImage
import HostSystem
import ImageAccess
import Media
import SystemPackage

/// What an image, whoever described it, may make this host do: the options of every
/// command that reads one.
struct TrustOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Take a medium that --medium does not name only if its path, or another name of the device, "
        + "matches; may be repeated.", valueName: "PATTERN"))
  var media: [String] = []

  @Option(
    help: ArgumentHelp(
      "Ask this service about a representation's file: ssh://[USER@]HOST/IMAGE, "
        + "floe+unix:SOCKET/IMAGE or floe://HOST[:PORT]/IMAGE.", valueName: "ADDRESS"))
  var service: String?

  @Option(
    help: ArgumentHelp(
      "Most bytes that a representation may take in the cache directory.", valueName: "BYTES"))
  var cacheLimit = CacheLimit.standard.bytes

  @Option(
    help: ArgumentHelp(
      "Where limits for every mount stand, as lines “media = PATTERN”.", valueName: "FILE"))
  var config = MountConfiguration.standardPath

  /// The service that the user names.
  ///
  /// - Throws: `Failure` when that is no address.
  func address() throws -> ServiceAddress? {
    guard let service else { return nil }
    guard ImageSource.isAddress(service), case .service(let address) = try ImageSource(service)
    else {
      throw Failure(
        .invalid,
        "--service: “\(service)” is not the address of a service: write ssh://[USER@]HOST/IMAGE, "
          + "floe+unix:SOCKET/IMAGE or floe://HOST[:PORT]/IMAGE")
    }
    return address
  }

  /// The patterns of the command line, and those of the configuration file.
  func limits() throws -> [MediaPatterns] {
    for pattern in media where !pattern.hasPrefix("/") {
      throw Failure(.invalid, "--media: “\(pattern)” is not a pattern of absolute paths")
    }
    let configured = try MountConfiguration(path: config)
    return [MediaPatterns(media), MediaPatterns(configured.media)].compactMap { $0 }
  }
}

/// The configuration file of a backup host: lines of `KEY = VALUE`, blank ones, and ones
/// that begin with “#”. The only key is `media`, a pattern as of `--media`, once for each.
struct MountConfiguration {
  static let standardPath = "/etc/floe/floe.conf"

  /// The patterns; none when there is no file.
  private(set) var media: [String] = []

  /// - Throws: `Failure` when the file is there and cannot be read, or says what is not
  ///   understood: it holds limits, which nothing but its absence takes away.
  init(path: String) throws {
    let bytes: [UInt8]
    do throws(Errno) {
      bytes = try CompleteFile.read(path)
    } catch {
      guard error == .noSuchFileOrDirectory, path == Self.standardPath else {
        throw Failure("\(path)", cause: error)
      }
      return
    }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      do {
        try take(PathText.text(of: line))
      } catch {
        throw Failure("\(path), line \(index + 1)", cause: error)
      }
    }
  }

  private mutating func take(_ line: String) throws(Failure) {
    let text = Self.trimmed(line[...])
    guard let first = text.first, first != "#" else { return }
    guard let equals = text.firstIndex(of: "=") else {
      throw Failure(.invalid, "“\(text)” is not KEY = VALUE")
    }
    let key = Self.trimmed(text[..<equals])
    let value = Self.trimmed(text[text.index(after: equals)...])
    guard key == "media" else {
      throw Failure(.invalid, "“\(key)” is no key; the only one is media")
    }
    guard value.hasPrefix("/") else {
      throw Failure(.invalid, "“\(value)” is not a pattern of absolute paths")
    }
    media.append(String(value))
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
