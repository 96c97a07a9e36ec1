import FoundationEssentials
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// The files of a state directory, written so that a crash leaves the old content
/// or the new one (`CompleteFile`).
struct StateFiles: Sendable {
  /// The state directory.
  let root: FilePath

  /// The largest record that is read, in bytes.
  private static let maximumRecordLength = 1 << 20

  private func failure(_ operation: String, _ path: FilePath) -> CatalogueError {
    .system(Errno(rawValue: errno), operation, path, in: root)
  }

  /// Runs a body of swift-system calls, and says what failed and where.
  private func attempt<Result>(
    _ operation: String, _ path: FilePath, _ body: () throws -> Result
  ) throws(CatalogueError) -> Result {
    do { return try body() } catch let reason as Errno {
      throw .system(reason, operation, path, in: root)
    } catch {
      throw .damaged(image: path.string, reason: "\(error)")
    }
  }

  // MARK: - Records

  /// Puts a record in the place of what was at `path`.
  func write(_ record: some Encodable, to path: FilePath) throws(CatalogueError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let bytes = try attempt("write", path) { [UInt8](try encoder.encode(record)) }
    try write(bytes: bytes, to: path)
  }

  /// Puts bytes in the place of what was at `path`.
  func write(bytes: [UInt8], to path: FilePath) throws(CatalogueError) {
    do throws(FileFailure) {
      try CompleteFile.write(bytes, to: path, mode: 0o600, replacing: true)
    } catch {
      throw .system(error.reason, "write", path, in: root)
    }
  }

  /// Reads a record; `nil` when there is no such file.
  ///
  /// - Throws: `CatalogueError.damaged` when the bytes are no such record.
  func read<Record: Decodable>(
    _ type: Record.Type, from path: FilePath
  ) throws(CatalogueError) -> Record? {
    guard let bytes = try read(path) else { return nil }
    guard bytes.count <= Self.maximumRecordLength else {
      throw .damaged(image: path.string, reason: "it is too large")
    }
    do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
      throw CatalogueError.damaged(image: path.string, reason: Self.reason(error))
    }
  }

  /// Reads a file, of one that is too large a part that is too large; `nil` when there is
  /// no such file.
  func read(_ path: FilePath) throws(CatalogueError) -> [UInt8]? {
    do throws(CatalogueError) {
      return try attempt("read", path) {
        let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
        return try file.closeAfter {
          var bytes: [UInt8] = []
          var chunk = [UInt8](repeating: 0, count: 4096)
          while bytes.count <= Self.maximumRecordLength {
            let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
            if count == 0 { break }
            bytes += chunk.prefix(count)
          }
          return bytes
        }
      }
    } catch .failed(_, _, .noSuchFileOrDirectory) {
      return nil
    }
  }

  private static func reason(_ error: any Error) -> String {
    switch error as? Swift.DecodingError {
    case .dataCorrupted(let context)?: context.debugDescription
    case .keyNotFound(let key, _)?: "“\(key.stringValue)” is missing"
    case .typeMismatch(_, let context)?, .valueNotFound(_, let context)?:
      "“\(context.codingPath.map(\.stringValue).joined(separator: "."))” has the wrong type"
    default: "it is not JSON"
    }
  }

  // MARK: - Directories

  /// Makes a directory, for its owner only; parents of the state directory as needed.
  func makeDirectory(_ path: FilePath) throws(CatalogueError) {
    if mkdir(path.string, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, path.components.count > 1 else { throw failure("make", path) }
    try makeDirectory(path.removingLastComponent())
    guard mkdir(path.string, 0o700) == 0 || errno == EEXIST else { throw failure("make", path) }
  }

  /// The names in a directory in ascending order; none when there is no directory.
  func names(in path: FilePath) throws(CatalogueError) -> [String] {
    guard let directory = opendir(path.string) else {
      if errno == ENOENT { return [] }
      throw failure("list", path)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else { break }
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        PathText.text(of: bytes.prefix { $0 != 0 })
      }
      if name != ".", name != ".." { names.append(name) }
    }
    if errno != 0 { throw failure("list", path) }
    return names.sorted()
  }

  /// Removes a file or a directory with all that it holds; none there is no error.
  func remove(_ path: FilePath) throws(CatalogueError) {
    if unlink(path.string) == 0 || errno == ENOENT { return }
    guard errno == EISDIR else { throw failure("remove", path) }
    for name in try names(in: path) { try remove(path.appending(name)) }
    if rmdir(path.string) != 0, errno != ENOENT { throw failure("remove", path) }
  }

  /// Moves a directory, for good when this returns.
  func move(_ path: FilePath, to target: FilePath) throws(CatalogueError) {
    guard rename(path.string, target.string) == 0 else { throw failure("move", path) }
    try synchronize(target.removingLastComponent())
  }

  /// Makes what happened in a directory durable.
  func synchronize(_ directory: FilePath) throws(CatalogueError) {
    try attempt("synchronise", directory) {
      let file = try FileDescriptor.open(directory, .readOnly, options: [.directory, .closeOnExec])
      try file.closeAfter {
        guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
      }
    }
  }

  // MARK: - Locks

  /// Locks a directory (flock(2)) until the returned descriptor is closed; `nil` when
  /// `waiting` is false and somebody else holds it.
  func lock(
    _ directory: FilePath, shared: Bool = false, waiting: Bool = true
  ) throws(CatalogueError) -> FileDescriptor? {
    try attempt("lock", directory) {
      let file = try FileDescriptor.open(directory, .readOnly, options: [.directory, .closeOnExec])
      while flock(file.rawValue, (shared ? LOCK_SH : LOCK_EX) | (waiting ? 0 : LOCK_NB)) != 0 {
        let reason = Errno(rawValue: errno)
        if reason == .interrupted { continue }
        try file.close()
        if reason == .wouldBlock { return nil }
        throw reason
      }
      return file
    }
  }

  /// Runs a body while this process alone changes the catalogue.
  func withStateLock<Result>(_ body: () throws -> Result) throws -> Result {
    let held = try lock(root)
    defer { try? held?.close() }
    return try body()
  }
}
