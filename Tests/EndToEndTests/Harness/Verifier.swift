import Glibc
import SeededNumbers
import Testing

/// Reads random pieces of files through a mount, past the kernel's page cache, and
/// compares each with the bytes that the snapshot had at first.
struct Verifier {
  /// What came of the pieces.
  struct Tally: CustomStringConvertible {
    var right = 0
    var wrong = 0
    /// Pieces that could not be read, by errno.
    var failed: [Int32: Int] = [:]

    var failures: Int { failed.values.reduce(0, +) }

    var description: String {
      "\(right) right, \(wrong) wrong, failed: "
        + failed.map { "\($1) × \(errorText($0))" }.joined(separator: ", ")
    }
  }

  private let mount: String
  private let files: [(name: String, bytes: [UInt8])]
  /// Bytes of all files.
  private let size: Int
  private var generator: SeededGenerator
  let seed: UInt64

  init(reference: String, mount: String, files: [String]) throws {
    self.mount = mount
    self.files = try files.map { ($0, try readFile("\(reference)/\($0)")) }
    size = self.files.reduce(0) { $0 + $1.bytes.count }
    seed = .random(in: .min ... .max)
    generator = SeededGenerator(seed: seed)
  }

  /// Reads some pieces of up to 256 KiB; a wrong byte is an issue at once.
  mutating func read(
    pieces: Int = 100, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Tally {
    var tally = Tally()
    for _ in 0..<pieces {
      let (name, bytes, start) = place()
      let count = min(Int.random(in: 1...256 << 10, using: &generator), bytes.count - start)
      switch try piece(of: name, at: start, count: count) {
      case .failure(let failure): tally.failed[failure.number, default: 0] += 1
      case .success(let piece) where piece[...] == bytes[start..<start + count]: tally.right += 1
      case .success(let piece):
        tally.wrong += 1
        let first = zip(piece, bytes[start...]).enumerated().first { $1.0 != $1.1 }?.offset
        Issue.record(
          """
          wrong bytes: \(name), bytes \(start)..<\(start + count) (\(piece.count) came), \
          first difference at \(first.map { "\(start + $0)" } ?? "the end"); seed \(seed)
          """, sourceLocation: sourceLocation)
      }
    }
    return tally
  }

  /// A byte of any file, each as likely as any other.
  private mutating func place() -> (name: String, bytes: [UInt8], offset: Int) {
    var offset = Int.random(in: 0..<size, using: &generator)
    for (name, bytes) in files {
      if offset < bytes.count { return (name, bytes, offset) }
      offset -= bytes.count
    }
    return (files[0].name, files[0].bytes, 0)
  }

  private struct Failure: Error {
    let number: Int32
  }

  private func piece(
    of name: String, at start: Int, count: Int
  ) throws -> Result<[UInt8], Failure> {
    let file = open("\(mount)/\(name)", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return .failure(Failure(number: errno)) }
    defer { close(file) }
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        pread(file, buffer.baseAddress.map { $0 + done }, count - done, start + done)
      }
      if got < 0 { return .failure(Failure(number: errno)) }
      if got == 0 { break }
      done += got
    }
    return .success(Array(bytes.prefix(done)))
  }
}
