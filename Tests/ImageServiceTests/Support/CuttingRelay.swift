import Glibc
import HostSystem
import ImageService
import Synchronization
import SystemPackage
import Testing

/// A Unix socket that hands everything on to another one, counts the pieces in which it
/// comes, and breaks each of the first lines after some bytes of answers.
final class CuttingRelay: Sendable {
  let path: String
  private let listener: Int32
  private let target: String
  private let cuts: Mutex<[Int]>
  private let counts = Mutex(Pieces())

  /// How many reads of the relay brought something.
  struct Pieces {
    var questions = 0
    var answers = 0
  }

  /// - Parameter cuts: bytes of answers after which the first, second, ... line breaks.
  init(to target: String, at path: String, cuts: [Int] = []) throws {
    self.path = path
    self.target = target
    self.cuts = Mutex(cuts)
    listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let bound = withAddress(path) { [listener] in bind(listener, $0, $1) }
    try #require(bound == 0 && listen(listener, 8) == 0, "\(Errno(rawValue: errno))")
    try Thread.detach { [self] in
      while true {
        let client = accept(listener, nil, nil)
        if client < 0 { return }
        let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        _ = withAddress(self.target) { Glibc.connect(server, $0, $1) }
        let limit = self.cuts.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        try? Thread.detach {
          Self.copy(from: client, to: server, limit: nil) {
            self.counts.withLock { $0.questions += 1 }
          }
        }
        try? Thread.detach {
          Self.copy(from: server, to: client, limit: limit) {
            self.counts.withLock { $0.answers += 1 }
          }
          close(client)
          close(server)
        }
      }
    }
  }

  /// How many of the lines were broken.
  var cutsLeft: Int { cuts.withLock { $0.count } }

  /// The pieces that came so far.
  var pieces: Pieces { counts.withLock { $0 } }

  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private static func copy(
    from source: Int32, to target: Int32, limit: Int?, counting: () -> Void
  ) {
    var rest = limit ?? .max
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while rest > 0 {
      let count = recv(source, &buffer, min(buffer.count, rest), 0)
      if count <= 0 { break }
      counting()
      var done = 0
      while done < count {
        let sent = buffer.withUnsafeBytes {
          send(
            target, $0.baseAddress?.advanced(by: done), count - done, Int32(MSG_NOSIGNAL))
        }
        if sent <= 0 { break }
        done += sent
      }
      if done < count { break }
      rest -= count
    }
    shutdown(source, Int32(SHUT_RDWR))
    shutdown(target, Int32(SHUT_RDWR))
  }
}

/// A line to a Unix socket, on which nothing was said yet; the caller closes it.
func connectedSocket(_ path: String) throws -> FileDescriptor {
  let line = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  let connected = withAddress(path) { Glibc.connect(line, $0, $1) }
  try #require(connected == 0, "\(Errno(rawValue: errno))")
  return FileDescriptor(rawValue: line)
}

/// The socket address of a path.
private func withAddress<Result>(
  _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  return withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
}
