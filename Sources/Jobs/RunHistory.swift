import FoundationEssentials
public import FrozenImage
import Glibc
public import HostSystem
import SystemPackage

/// The runs of an agent, one file each in its state directory (`runs/<uuid>.json`), the newest
/// `limit` of them. A run's file is replaced as a whole at each step, so that a crash leaves the
/// step before (`CompleteFile`).
public struct RunHistory: Sendable {
  /// Where an agent's state is unless said otherwise.
  public static let defaultDirectory = "/var/lib/floe-agent"

  private let directory: FilePath
  private let limit: Int

  /// - Parameters:
  ///   - directory: an agent's state directory.
  ///   - limit: runs that are over beyond so many are forgotten, the oldest first.
  public init(directory: String = defaultDirectory, limit: Int = 2000) {
    self.directory = FilePath(directory).appending("runs")
    self.limit = limit
  }

  /// Makes the directory when it is missing.
  ///
  /// - Throws: `Failure` when it cannot be made.
  public func create() throws(Failure) {
    for path in [directory.removingLastComponent(), directory] {
      guard mkdir(path.string, 0o700) == 0 || errno == EEXIST else {
        throw Failure("the directory \(path) cannot be made", cause: Errno(rawValue: errno))
      }
    }
  }

  /// Keeps a run as it is now.
  ///
  /// - Throws: `Failure` when its file cannot be written.
  public func keep(_ run: RunRecord) throws(Failure) {
    let path = directory.appending("\(run.id).json")
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      try CompleteFile.write([UInt8](encoder.encode(run)), to: path, mode: 0o600, replacing: true)
    } catch {
      throw Failure("the record of a run cannot be written", cause: error)
    }
  }

  /// A run; `nil` when it is not known, or its file cannot be read.
  public func run(_ id: UniqueIdentifier) -> RunRecord? {
    guard let bytes = try? CompleteFile.read(directory.appending("\(id).json").string),
      let run = try? JSONDecoder().decode(RunRecord.self, from: Data(bytes)), run.id == "\(id)"
    else { return nil }
    return run
  }

  /// Every run, the oldest first. A file that cannot be read is no run: it costs nobody the
  /// others.
  ///
  /// - Throws: `Failure` when the directory is there and cannot be read.
  public func runs() throws(Failure) -> [RunRecord] {
    var runs: [RunRecord] = []
    for name in try names() where name.hasSuffix(".json") {
      guard let id = UniqueIdentifier(String(name.dropLast(5))), name == "\(id).json",
        let run = run(id)
      else { continue }
      runs.append(run)
    }
    return runs.sorted { ($0.asked, $0.id) < ($1.asked, $1.id) }
  }

  /// Forgets the oldest of the runs that are over, where there are too many.
  ///
  /// - Parameter isExact: otherwise a few too many stay until they are more: all files are read
  ///   to find the oldest.
  /// - Throws: `Failure` when the directory cannot be read.
  public func forgetOldest(isExact: Bool = true) throws(Failure) {
    guard try names().count > limit + (isExact ? 0 : limit / 20) else { return }
    let over = try runs().filter(\.isOver)
    for run in over.dropLast(limit) { unlink(directory.appending("\(run.id).json").string) }
  }

  private func names() throws(Failure) -> [String] {
    guard let stream = opendir(directory.string) else {
      if errno == ENOENT { return [] }
      throw Failure("the directory \(directory) cannot be read", cause: Errno(rawValue: errno))
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      names.append(
        withUnsafeBytes(of: entry.pointee.d_name) { bytes in
          PathText.text(of: bytes.prefix { $0 != 0 })
        })
    }
    return names
  }
}
