import Glibc
import HostSystem
import SystemPackage

/// The files in which a host tells of itself (/proc, /sys, /etc): this host's own, or those of a
/// tree that was recorded on another.
public struct HostFiles: Sendable {
  private let root: String

  /// - Parameter root: what stands before each path; empty for this host.
  public init(root: String = "") {
    self.root = root
  }

  /// The whole of a file; `nil` when it cannot be read.
  func text(_ path: String) -> String? {
    (try? CompleteFile.read(root + path)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The first line of a file; `nil` when it cannot be read, or is empty.
  func line(_ path: String) -> String? {
    guard let line = text(path)?.prefix(while: { !$0.isNewline }), !line.isEmpty else { return nil }
    return String(line)
  }

  /// The names in a directory, in ascending order; none when it is not there.
  func names(in path: String) -> [String] { DirectoryListing.names(in: root + path) }

  func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }
}
