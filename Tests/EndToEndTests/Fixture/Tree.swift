import Glibc

/// The trees that images are made of.
struct Tree {
  /// How large the costly parts of a full tree are.
  struct Size {
    /// Entries of the large directory.
    let entries: Int
    /// Bytes of the file in many extents.
    let fragmented: Int
    /// Bytes of the sparse file that every copy tool reads.
    let sparse: Int
    /// How many files of some ten KiB there are.
    let files: Int

    static let complete = Size(
      entries: 100_000, fragmented: 200 << 20, sparse: 8 << 30, files: 1500)
    static let reduced = Size(entries: 2000, fragmented: 32 << 20, sparse: 1 << 30, files: 700)
  }

  /// The sparse file of 8 TiB: for tar only, since rsync reads holes.
  static let hugeSparse = "sparse/huge"

  /// Files of the small tree that lie on storage, with and without data checksums.
  static let smallFiles =
    ["storage/fragmented", "storage/no-checksums/fragmented", "storage/no-checksums/small"]
    + (0..<200).map { "files/\($0 / 50)/\($0)" }

  let writer: FileWriter

  init(_ root: String) {
    writer = FileWriter(root: root)
  }

  /// Everything that an image has to carry.
  func build(_ size: Size) throws {
    try sizes()
    try sparse(size)
    try storage(size)
    try manyFiles(size.files)
    try namesOfBytes()
    try links()
    try special()
    try permissions()
    try attributes()
    try largeDirectory(size.entries)
    try times()
    try ageDirectories()
    try run("btrfs", ["filesystem", "sync", writer.root])
  }

  /// Everything that any file system of Linux keeps, for images that are not btrfs.
  func buildPortable(
    files: Int = 1500, fragmented: Int = 32 << 20, entries: Int = 2000
  ) throws {
    try sizes()
    try sparse(Size(entries: 0, fragmented: 0, sparse: 1 << 30, files: 0), hugeSparse: false)
    try writer.directory("storage")
    try writer.fragmented("storage/fragmented", bytes: fragmented, piece: 64 << 10)
    try preallocated()
    try manyFiles(files)
    try namesOfBytes()
    // XFS keeps 1024 bytes of a target at the most.
    try links(longTarget: 1000)
    try devices()
    try permissions()
    try attributes(largestValue: 1500)
    try largeDirectory(entries)
    try times()
    try ageDirectories()
    try run("sync", ["-f", writer.root])
  }

  /// A few files on storage, for the tests that look at motion alone: random
  /// bytes with and without data checksums.
  func buildSmall() throws {
    try storage(Size(entries: 0, fragmented: 24 << 20, sparse: 0, files: 0))
    try manyFiles(200)
    try ageDirectories()
    try run("btrfs", ["filesystem", "sync", writer.root])
  }

  private func sizes() throws {
    try writer.directory("sizes")
    for bytes in [0, 1, 4095, 4096, 4097, 65537] {
      try writer.random("sizes/\(bytes)", bytes: bytes)
    }
  }

  /// - Parameter hugeSparse: whether the file system can hold the file of 8 TiB.
  private func sparse(_ size: Size, hugeSparse: Bool = true) throws {
    try writer.directory("sparse")
    let block = 4096
    let megabyte = 1 << 20
    try writer.sparse(
      "sparse/leading", size: 4 * megabyte, data: [3 * megabyte..<4 * megabyte])
    try writer.sparse(
      "sparse/middle", size: 4 * megabyte,
      data: [0..<block, 2 * megabyte + block..<3 * megabyte + 100])
    try writer.sparse("sparse/trailing", size: 4 * megabyte, data: [0..<megabyte + 1])
    try writer.sparse("sparse/hole", size: 3 * megabyte + 7, data: [])
    try writer.sparse(
      "sparse/checkered", size: 4 * megabyte,
      data: stride(from: block, to: 2 * megabyte, by: 3 * block).map { $0..<$0 + block })
    try writer.sparse(
      "sparse/large", size: size.sparse,
      data: [megabyte..<2 * megabyte, size.sparse - 5 * megabyte..<size.sparse - 4 * megabyte])
    guard hugeSparse else { return }
    let terabyte = 1 << 40
    try writer.sparse(
      Self.hugeSparse, size: 8 * terabyte,
      data: [
        0..<block, 3 * terabyte + 12345..<3 * terabyte + megabyte,
        8 * terabyte - block..<8 * terabyte,
      ])
  }

  /// Every way in which btrfs keeps a file's bytes.
  private func storage(_ size: Size) throws {
    try writer.directory("storage")
    try writer.fragmented("storage/fragmented", bytes: size.fragmented, piece: 64 << 10)
    try preallocated()
    // The attribute only takes an empty file.
    try writer.directory("storage/no-checksums")
    try run("chattr", ["+C", writer.path("storage/no-checksums")])
    try writer.fragmented(
      "storage/no-checksums/fragmented", bytes: 16 << 20, piece: 32 << 10)
    try writer.random("storage/no-checksums/small", bytes: 100_001)
    try writer.file("storage/compressed") { _ in }
    try run(
      "btrfs", ["property", "set", writer.path("storage/compressed"), "compression", "zstd"])
    let line = "a line that compresses very well, again and again\n"
    try writer.file("storage/compressed") { file in
      let text = [UInt8](String(repeating: line, count: 20_000).utf8)
      try writer.check(write(file, text, text.count) - text.count, "write", "compressed")
    }
  }

  private func preallocated() throws {
    try writer.file("storage/preallocated") { file in
      try writer.writeRandom(file, at: 0, bytes: 300_000, name: "preallocated")
      try writer.check(
        posix_fallocate(file, 1 << 20, 2 << 20) == 0 ? 0 : -1, "fallocate", "preallocated")
      try writer.writeRandom(file, at: 1_500_000, bytes: 5000, name: "preallocated")
    }
  }

  private func manyFiles(_ count: Int) throws {
    try writer.directory("files")
    for number in 0..<count {
      if number % 50 == 0 { try writer.directory("files/\(number / 50)") }
      try writer.random(
        "files/\(number / 50)/\(number)", bytes: 2000 + number * 7919 % 120_000)
    }
  }

  private func namesOfBytes() throws {
    try writer.directory("names")
    try writer.file("names", bytes: [0xFF, 0xFE, 0x80, 0x41], text: "not UTF-8\n")
    try writer.file("names", bytes: [0x0A, 0x09, 0x20, 0x5C, 0x07], text: "control characters\n")
    try writer.file("names", bytes: Array("ein schöner Tag ☀".utf8), text: "UTF-8\n")
    try writer.file(
      "names", bytes: [UInt8](repeating: UInt8(ascii: "n"), count: 255), text: "255 bytes\n")
    try writer.file(
      "names", bytes: [UInt8](repeating: 0xE9, count: 255), text: "255 bytes, not UTF-8\n")
    try writer.file("names", bytes: Array("--checkpoint-action=exec=false".utf8), text: "dashes\n")
  }

  /// - Parameter longTarget: bytes of the longest target.
  private func links(longTarget: Int = 4000) throws {
    try writer.directory("links")
    try writer.random("links/one", bytes: 50_000)
    for name in ["links/two", "links/three", "sizes/also-one"] {
      try writer.check(link(writer.path("links/one"), writer.path(name)), "link", name)
    }
    let targets = [
      "relative": "one", "dangling": "no/such/file", "absolute": "/etc/hostname",
      "long": String(repeating: "directory/", count: longTarget / 10), "up": "../sizes/4096",
    ]
    for (name, target) in targets {
      try writer.check(
        symlink(target, writer.path("links/to-\(name)")), "symlink", name)
    }
    // Links to what is no regular file are links too.
    try writer.check(
      mkfifo(writer.path("links/fifo"), 0o640), "mkfifo", "links/fifo")
    try writer.check(
      link(writer.path("links/fifo"), writer.path("links/fifo-again")), "link", "fifo")
  }

  private func special() throws {
    try devices()
    try run("btrfs", ["subvolume", "create", writer.path("special/subvolume")])
    try writer.random("special/subvolume/inside", bytes: 10_000)
  }

  private func devices() throws {
    try writer.directory("special")
    try writer.node("special/null", S_IFCHR | 0o666, major: 1, minor: 3)
    try writer.node("special/large-minor", S_IFCHR | 0o600, major: 240, minor: 70_000)
    try writer.node("special/disk", S_IFBLK | 0o660, major: 259, minor: 1)
    try writer.node("special/fifo", S_IFIFO | 0o622)
    try writer.node("special/socket", S_IFSOCK | 0o777)
  }

  private func permissions() throws {
    try writer.directory("permissions")
    for mode: mode_t in [0o000, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o6711] {
      let name = "permissions/\(String(mode, radix: 8))"
      try writer.random(name, bytes: 100)
      try writer.owner(name, 1000 + UInt32(mode), 4_000_000_000)
      try writer.mode(name, mode)
    }
    for mode: mode_t in [0o700, 0o1777, 0o2775] {
      let name = "permissions/directory-\(String(mode, radix: 8))"
      try writer.directory(name)
      try writer.owner(name, 65534, 12)
      try writer.mode(name, mode)
    }
    let acl = writer.path("permissions/acl")
    try writer.random("permissions/acl", bytes: 10)
    try run("setfacl", ["-m", "u:1234:rw,g:4321:r,u:7:---,m::rw", acl])
    try writer.directory("permissions/default-acl")
    try run(
      "setfacl",
      ["-m", "u:1234:rwx,d:u:1234:rx,d:g:99:rwx", writer.path("permissions/default-acl")])
    try writer.random("permissions/default-acl/inherits", bytes: 10)
  }

  /// - Parameter largestValue: bytes that the file system takes for one value.
  private func attributes(largestValue: Int = 12_000) throws {
    try writer.directory("attributes")
    try writer.random("attributes/many", bytes: 5000)
    for number in 0..<40 {
      try writer.attribute(
        "attributes/many", "user.number-\(number)", Array("value \(number)".utf8))
    }
    try writer.attribute("attributes/many", "user.empty", [])
    try writer.attribute("attributes/many", "user.binary", [0, 1, 0xFF, 0x0A, 0])
    try writer.attribute(
      "attributes/many", "user.large", [UInt8](repeating: 0x5A, count: largestValue))
    try writer.attribute("attributes/many", "trusted.floe-test", Array("trusted".utf8))
    try writer.attribute("attributes", "user.of-a-directory", Array("yes".utf8))
    try writer.random("attributes/capability", bytes: 100)
    // vfs_cap_data of revision 2 (linux/capability.h): cap_net_raw, permitted and effective.
    try writer.attribute(
      "attributes/capability", "security.capability",
      [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    try writer.check(
      symlink("many", writer.path("attributes/link")), "symlink", "attributes/link")
    try writer.attribute("attributes/link", "trusted.of-a-link", Array("link".utf8))
  }

  private func largeDirectory(_ entries: Int) throws {
    try writer.directory("large-directory")
    for number in 0..<entries {
      try writer.file("large-directory/entry number \(number)") { file in
        // Some have content, which btrfs keeps inline.
        guard number % 97 == 0 else { return }
        let text = Array("entry \(number)".utf8)
        try writer.check(write(file, text, text.count), "write", "large-directory")
      }
    }
  }

  private func times() throws {
    try writer.directory("times")
    let cases: [(String, Int, Int)] = [
      ("now", 1_700_000_000, 123_456_789), ("one-nanosecond", 1_600_000_000, 1),
      ("last-nanosecond", 1_500_000_000, 999_999_999), ("epoch", 0, 0),
      ("before-epoch", -86_400, 250_000_000), ("after-2038", 4_102_444_800, 42),
    ]
    for (name, seconds, nanoseconds) in cases {
      try writer.random("times/\(name)", bytes: 10)
      try writer.times("times/\(name)", seconds: seconds, nanoseconds: nanoseconds)
    }
    try writer.check(symlink("now", writer.path("times/link")), "symlink", "times/link")
    try writer.times("times/link", seconds: 1_234_567_890, nanoseconds: 987_654_321)
  }

  /// Gives every directory a time of long ago: rsync leaves a directory's time as it
  /// is when only the nanoseconds differ, so a copy within the same second is not exact.
  private func ageDirectories() throws {
    try run(
      "find",
      [
        writer.root, "-type", "d", "-exec", "touch", "-d", "2009-02-13 23:31:30.123456789", "{}",
        "+",
      ])
  }
}
