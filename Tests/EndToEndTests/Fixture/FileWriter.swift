import Glibc

/// Makes files and their attributes by system calls; names are bytes.
struct FileWriter {
  let root: String

  func path(_ name: String) -> String { "\(root)/\(name)" }

  func directory(_ name: String) throws {
    try check(mkdir(path(name), 0o755), "mkdir", name)
  }

  /// A file whose name is made of any bytes, in a directory.
  func file(_ directory: String, bytes name: [UInt8], text: String) throws {
    var full = Array("\(root)/\(directory)/".utf8) + name
    full.append(0)
    let file = full.withUnsafeBufferPointer { buffer in
      buffer.withMemoryRebound(to: CChar.self) { characters in
        characters.baseAddress.map { open($0, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644) } ?? -1
      }
    }
    try check(file, "open", "\(directory)/\(name)")
    defer { close(file) }
    try check(text.withCString { write(file, $0, strlen($0)) }, "write", directory)
  }

  /// A file of random bytes.
  func random(_ name: String, bytes: Int) throws {
    try file(name) { file in try writeRandom(file, at: 0, bytes: bytes, name: name) }
  }

  /// A file with random bytes at some places and holes between.
  func sparse(_ name: String, size: Int, data: [Range<Int>]) throws {
    try file(name) { file in
      for range in data {
        try writeRandom(file, at: range.lowerBound, bytes: range.count, name: name)
      }
      try check(ftruncate(file, size), "ftruncate", name)
    }
  }

  /// A file written in two interleaved passes, so that every piece is an extent.
  func fragmented(_ name: String, bytes: Int, piece: Int) throws {
    try file(name) { file in
      for pass in 0..<2 {
        for start in stride(from: pass * piece, to: bytes, by: piece * 2) {
          try writeRandom(file, at: start, bytes: min(piece, bytes - start), name: name)
        }
        try check(fsync(file), "fsync", name)
      }
    }
  }

  /// Opens a new file for as long as `body` runs.
  func file(_ name: String, _ body: (Int32) throws -> Void) throws {
    let file = open(path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    try check(file, "open", name)
    defer { close(file) }
    try body(file)
  }

  func writeRandom(_ file: Int32, at offset: Int, bytes: Int, name: String) throws {
    let piece = 1 << 20
    try withUnsafeTemporaryAllocation(byteCount: piece, alignment: 4096) { buffer in
      guard let address = buffer.baseAddress else { return }
      var done = 0
      while done < bytes {
        let count = min(piece, bytes - done)
        arc4random_buf(address, count)
        try check(pwrite(file, address, count, offset + done) - count, "pwrite", name)
        done += count
      }
    }
  }

  func attribute(_ name: String, _ key: String, _ value: [UInt8]) throws {
    let digits = Array("0123456789abcdef")
    let text = String(value.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    try run("setfattr", ["-h", "-n", key, "-v", "0x\(text)", path(name)])
  }

  /// A device node, FIFO or socket.
  func node(_ name: String, _ mode: mode_t, major: dev_t = 0, minor: dev_t = 0) throws {
    // As makedev(3), which Swift does not see.
    let device: dev_t = (major & 0xFFF) << 8 | minor & 0xFF | (minor & ~0xFF) << 12
    try check(mknod(path(name), mode, device), "mknod", name)
    try self.mode(name, mode & 0o7777)
  }

  func owner(_ name: String, _ user: UInt32, _ group: UInt32) throws {
    try check(lchown(path(name), user, group), "lchown", name)
  }

  func mode(_ name: String, _ mode: mode_t) throws {
    try check(chmod(path(name), mode), "chmod", name)
  }

  /// Sets access and modification time, to the nanosecond.
  func times(_ name: String, seconds: Int, nanoseconds: Int) throws {
    let times = [
      timespec(tv_sec: seconds + 1, tv_nsec: nanoseconds / 2),
      timespec(tv_sec: seconds, tv_nsec: nanoseconds),
    ]
    try check(utimensat(AT_FDCWD, path(name), times, AT_SYMLINK_NOFOLLOW), "utimensat", name)
  }

  func check(_ result: some BinaryInteger, _ call: String, _ name: String) throws {
    guard result >= 0 else { throw HarnessError("\(call) \(name): \(errorText(errno))") }
  }
}
