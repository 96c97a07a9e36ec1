import Glibc
import HostSystem
package import SystemPackage

/// The files of a data set that tests freeze: some bytes, many bytes, none, a second name, and
/// one in a directory in a directory.
package enum FileTree {
  /// Paths in the data set, with a slash before each name, and what is in them; the second
  /// name "/again" of "/long" is left out.
  package static let files: [(path: String, bytes: [UInt8])] = [
    ("/empty", []), ("/long", numbered(300_001)), ("/short", Array("some bytes\n".utf8)),
    ("/deep/er/file", numbered(70_000)),
  ]

  /// Bytes of which no two windows of eight are alike.
  private static func numbered(_ count: Int) -> [UInt8] {
    (0..<count / 8 + 1).flatMap { number in
      withUnsafeBytes(of: UInt64(number) &* 0x9E37_79B9_7F4A_7C15, Array.init)
    }.dropLast(8 - count % 8)
  }

  /// Makes the files in a directory that is there.
  package static func make(in directory: FilePath) throws {
    try shell("mkdir -p '\(directory)/deep/er'")
    for (path, bytes) in files {
      let file = try FileDescriptor.open(
        FilePath("\(directory)\(path)"), .writeOnly, options: [.create],
        permissions: .ownerReadWrite)
      _ = try file.closeAfter { try file.writeAll(bytes) }
    }
    try shell("ln '\(directory)/long' '\(directory)/again'")
  }
}
