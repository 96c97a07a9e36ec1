import ArgumentParser
import Glibc
import HostSystem
import ImageService
import Media

/// What an image, whoever described it, may make this host do: the options of every
/// command that reads one.
struct TrustOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Take a medium that --medium does not name only if its path, or another name of the device, "
        + "matches; may be repeated.", valueName: "PATTERN"))
  var media: [String] = []

  @Option(help: "Ask this service about a representation's file.")
  var service: String?

  @Option(
    help: ArgumentHelp(
      "Most bytes that a representation may take in the cache directory.", valueName: "BYTES"))
  var cacheLimit = CacheLimit.standard.bytes

  @Option(help: "Where limits for every mount stand.")
  var config = MountConfiguration.standardPath

  /// The service that the user names.
  ///
  /// - Throws: `Failure` when that is no address.
  func address() throws -> ServiceAddress? {
    guard let service else { return nil }
    guard case .service(let address) = try ImageSource(service) else {
      throw Failure("--service: “\(service)” is not the address of a service")
    }
    return address
  }

  /// The patterns of the command line, and those of the configuration file.
  func limits() throws -> [MediaPatterns] {
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
    guard let stream = fopen(path, "re") else {
      guard errno == ENOENT, path == Self.standardPath else {
        throw Failure("\(path): \(String(cString: strerror(errno)))")
      }
      return
    }
    defer { fclose(stream) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    var number = 0
    while getline(&line, &capacity, stream) > 0, let line {
      number += 1
      do {
        try take(String(cString: line))
      } catch {
        throw Failure("\(path), line \(number): \(error)")
      }
    }
  }

  private mutating func take(_ line: String) throws(Failure) {
    let text = Self.trimmed(line[...])
    guard let first = text.first, first != "#" else { return }
    guard let equals = text.firstIndex(of: "=") else {
      throw Failure("“\(text)” is not KEY = VALUE")
    }
    let key = Self.trimmed(text[..<equals])
    let value = Self.trimmed(text[text.index(after: equals)...])
    guard key == "media" else { throw Failure("“\(key)” is no key; the only one is media") }
    guard value.hasPrefix("/") else {
      throw Failure("“\(value)” is not a pattern of absolute paths")
    }
    media.append(String(value))
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
