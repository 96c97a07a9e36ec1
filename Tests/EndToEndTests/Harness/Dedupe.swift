import Glibc

/// FIDEDUPERANGE (ioctl_fideduperange(2)), which shares one file's extents with
/// another of the same content.
enum Dedupe {
  /// `_IOWR(0x94, 54, struct file_dedupe_range)` of linux/fs.h, with its 24 bytes.
  private static let request: UInt = 0xC018_9436

  /// Puts the extents of one file into the place of another's.
  static func replace(_ path: String, by source: String) throws {
    let from = open(source, O_RDONLY | O_CLOEXEC)
    let to = open(path, O_RDONLY | O_CLOEXEC)
    defer {
      close(from)
      close(to)
    }
    guard from >= 0, to >= 0 else { throw HarnessError("dedupe: \(errorText(errno))") }
    let size = Int(lseek(from, 0, SEEK_END))
    let piece = 1 << 20
    for offset in stride(from: 0, to: size - piece + 1, by: piece) {
      try share(from, to, offset: UInt64(offset), length: UInt64(piece))
    }
  }

  private static func share(
    _ from: Int32, _ to: Int32, offset: UInt64, length: UInt64
  ) throws {
    // struct file_dedupe_range with one struct file_dedupe_range_info behind it.
    var argument = [UInt64](repeating: 0, count: 7)
    argument[0] = offset
    argument[1] = length
    argument[2] = 1
    argument[3] = UInt64(to)
    argument[4] = offset
    guard ioctl(from, request, &argument) == 0 else {
      throw HarnessError("dedupe at \(offset): \(errorText(errno))")
    }
    let status = Int32(truncatingIfNeeded: argument[6])
    guard status == 0, argument[5] == length else {
      throw HarnessError("dedupe at \(offset) shared \(argument[5]) bytes, status \(status)")
    }
  }
}
