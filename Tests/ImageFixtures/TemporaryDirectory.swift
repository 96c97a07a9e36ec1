import Glibc
import HostSystem
package import SystemPackage

/// A directory of its own for a test, in memory, removed with all that it holds at the end.
package final class TemporaryDirectory: Sendable {
  package let path: FilePath

  package init() throws {
    var template = Array("/dev/shm/floe-service-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    path = FilePath(
      String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  deinit {
    Self.remove(path)
  }
}

extension TemporaryDirectory {
  /// Removes a file, or a directory with all that it holds.
  private static func remove(_ path: FilePath) {
    if unlink(path.string) == 0 { return }
    for name in (try? names(in: path)) ?? [] { remove(path.appending(name)) }
    rmdir(path.string)
  }

  /// The names in a directory, in ascending order.
  package static func names(in path: FilePath) throws -> [String] {
    guard let open = opendir(path.string) else { throw Errno(rawValue: errno) }
    defer { closedir(open) }
    var names: [String] = []
    while let entry = readdir(open) {
      names.append(
        withUnsafeBytes(of: entry.pointee.d_name) { bytes in
          String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
    return names.filter { $0 != "." && $0 != ".." }.sorted()
  }
}

/// A small file system of its own, so that it can be full or read-only.
package final class SmallFileSystem {
  package let path: FilePath
  private let directory: TemporaryDirectory

  package init(size: String) throws {
    directory = try TemporaryDirectory()
    path = directory.path
    let result = mount("tmpfs", path.string, "tmpfs", 0, "size=\(size),mode=700")
    guard result == 0 else { throw Errno(rawValue: errno) }
  }

  package func makeReadOnly() throws {
    let result = mount("tmpfs", path.string, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil)
    guard result == 0 else { throw Errno(rawValue: errno) }
  }

  deinit { umount2(path.string, Int32(MNT_DETACH)) }

  /// Whether a test may mount; in CI it has to.
  package static let isPossible: Bool = {
    if geteuid() == 0 || getenv("CI") != nil { return true }
    print("SKIPPED: tests of a full and a read-only state directory need root, to mount a tmpfs")
    return false
  }()
}
