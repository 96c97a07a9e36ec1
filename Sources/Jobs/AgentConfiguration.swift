import FrozenImage
public import HostSystem
import SystemPackage
import TOMLKit

/// What the backup host's administrator allows its agent, from a file of TOML 1.0
/// (<https://toml.io/en/v1.0.0>):
///
/// ```
/// at_once = 2                     # most runs at once
/// waiting = 100                   # most runs that wait
/// mounts = "/run/floe/agent/mnt"  # images appear there as HOST/IMAGE
///
/// [jobs.rsync]
/// command = ["rsync", "-aHAX", "{mount}/", "/backup/{host}/{image}/"]
/// user = "backup"                 # otherwise the agent's own
/// timeout = 86400                 # seconds
/// at_once = 1
/// retries = 0
/// together = false                # true: once over all images of a run
/// mount_options = ["--medium", "ID=PATH"]
/// ```
///
/// A key that is not known is refused, so that a slip of the pen does not pass for a setting.
public struct AgentConfiguration: Sendable {
  /// Where it is unless said otherwise.
  public static let defaultPath = "/etc/floe/agent.toml"
  /// Where images are mounted unless said otherwise.
  public static let defaultMounts = "/run/floe/agent/mnt"

  /// Most runs at once, at least 1.
  public var atOnce = 2
  /// Most runs that wait.
  public var waiting = 100
  /// The directory in which images are mounted: an absolute path.
  public var mounts = defaultMounts
  /// By their names.
  public var jobs: [String: Job] = [:]

  /// One without jobs.
  public init() {}

  /// Reads the file of a path.
  ///
  /// - Throws: `Failure` that says what is wrong in it.
  public init(path: String) throws(Failure) {
    let bytes: [UInt8]
    do throws(Errno) { bytes = try CompleteFile.read(path) } catch {
      throw Failure("the agent's configuration \(path) cannot be read", cause: error)
    }
    do throws(Failure) {
      try self.init(text: String(decoding: bytes, as: UTF8.self))
    } catch {
      throw Failure("the agent's configuration \(path)", cause: error)
    }
  }

  /// - Throws: `Failure` that says what is wrong.
  public init(text: String) throws(Failure) {
    let table: TOMLTable
    do { table = try TOMLTable(string: text) } catch let error as TOMLParseError {
      throw Failure(.malformed, error.debugDescription)
    } catch {
      throw Failure(.malformed, "it is not TOML")
    }
    let settings = Settings(table, of: "the file")
    try settings.refuseOthers(than: ["at_once", "waiting", "mounts", "jobs"])
    atOnce = try settings.number("at_once", in: 1...64) ?? atOnce
    waiting = try settings.number("waiting", in: 0...10_000) ?? waiting
    mounts = try settings.text("mounts") ?? mounts
    guard mounts.hasPrefix("/"), FilePath(mounts).isLexicallyNormal, mounts != "/" else {
      throw Failure(.invalid, "“mounts” is not an absolute path below /")
    }
    guard let jobs = try settings.table("jobs") else { return }
    for name in jobs.keys.sorted() {
      guard let table = jobs[name]?.table else {
        throw Failure(.invalid, "“jobs.\(name)” is not a table")
      }
      self.jobs[name] = try Job(name: name, Settings(table, of: "[jobs.\(name)]"))
    }
  }
}

extension Job {
  fileprivate init(name: String, _ settings: Settings) throws(Failure) {
    try settings.refuseOthers(
      than: [
        "command", "user", "timeout", "at_once", "retries", "together", "mount_options",
      ])
    guard let words = try settings.texts("command") else {
      throw Failure(.invalid, "\(settings.place) has no “command”")
    }
    do throws(Failure) {
      try self.init(name: name, command: try JobCommand(words))
    } catch {
      throw Failure(settings.place, cause: error)
    }
    user = try settings.text("user")
    timeout = UInt32(try settings.number("timeout", in: 1...31_536_000) ?? Int(timeout))
    atOnce = try settings.number("at_once", in: 1...64) ?? atOnce
    retries = try settings.number("retries", in: 0...10) ?? retries
    isTogether = try settings.flag("together") ?? isTogether
    mountOptions = try settings.texts("mount_options") ?? []
    guard !isTogether || !command.namesImage else {
      throw Failure(
        .invalid, "\(settings.place) runs over all images together, and its command has {image}")
    }
  }
}

/// The settings of a table, each of which has to be of its own type.
private struct Settings {
  private let values: TOMLTable
  /// For people.
  let place: String

  init(_ values: TOMLTable, of place: String) {
    self.values = values
    self.place = place
  }

  func refuseOthers(than known: Set<String>) throws(Failure) {
    if let other = values.keys.sorted().first(where: { !known.contains($0) }) {
      throw Failure(.invalid, "\(place) has “\(other)”, which is no setting")
    }
  }

  func text(_ name: String) throws(Failure) -> String? {
    try value(name, "a text") { $0.string.flatMap { $0.isEmpty ? nil : $0 } }
  }

  func flag(_ name: String) throws(Failure) -> Bool? {
    try value(name, "true or false") { $0.bool }
  }

  func number(_ name: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
    try value(name, "a number from \(range.lowerBound) to \(range.upperBound)") { value in
      value.int.flatMap { range.contains($0) ? $0 : nil }
    }
  }

  func texts(_ name: String) throws(Failure) -> [String]? {
    try value(name, "a list of texts") { value in
      guard let array = value.array else { return nil }
      let texts = array.compactMap { $0.string }
      return texts.count == array.count ? texts : nil
    }
  }

  func table(_ name: String) throws(Failure) -> TOMLTable? {
    try value(name, "a table") { $0.table }
  }

  private func value<Value>(
    _ name: String, _ kind: String, _ read: (any TOMLValueConvertible) -> Value?
  ) throws(Failure) -> Value? {
    guard let found = values[name] else { return nil }
    guard let value = read(found) else {
      throw Failure(.invalid, "“\(name)” of \(place) is not \(kind)")
    }
    return value
  }
}
