public import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import SystemPackage

/// The socket that a service listens on.
///
/// A Unix socket appears under its name only once it listens and has its mode, so that
/// nobody finds one that does not answer or that others may use.
struct ListeningSocket: ~Copyable {
  let descriptor: Int32
  /// Where it listens, with the port that the system chose for port 0.
  let endpoint: ServiceEndpoint
  /// The file of a Unix socket (device and inode number).
  private let file: (UInt64, UInt64)?

  /// - Throws: `ListenError` when another service listens there, or the system refuses.
  init(_ endpoint: ServiceEndpoint) throws(ListenError) {
    switch endpoint {
    case .unix(let path):
      descriptor = try Self.makeUnix(path)
      self.endpoint = endpoint
      file = Self.file(at: path)
    case .loopback(let address, let port):
      (descriptor, self.endpoint) = try Self.makeTCP(address, port)
      file = nil
    case .ssh(let service):
      throw ListenError(.invalid, "a service cannot listen at \(service), as that is another host")
    }
  }

  /// Removes a Unix socket's file, unless another service has put its own there.
  func removeFile() {
    guard case .unix(let path) = endpoint, let file, let found = Self.file(at: path),
      found == file
    else { return }
    unlink(path)
  }

  private static func file(at path: String) -> (UInt64, UInt64)? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    return (UInt64(status.st_dev), UInt64(status.st_ino))
  }

  // MARK: - Unix sockets

  private static func makeUnix(_ path: String) throws(ListenError) -> Int32 {
    // Two services that start at once take their turns.
    let parent = FilePath(path).removingLastComponent()
    let directory = open(parent.isEmpty ? "." : parent.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw .system("open the directory of", path) }
    defer { close(directory) }
    while flock(directory, LOCK_EX) != 0 {
      guard errno == EINTR else { throw .system("lock the directory of", path) }
    }
    try makeWay(at: path)

    let provisional = path + ".new"
    unlink(provisional)
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system("make a socket for", path) }
    // Linux gives the file that bind(2) makes the mode of the socket, less the umask.
    guard fchmod(descriptor, 0o600) == 0, bind(descriptor, provisional) == 0,
      chmod(provisional, 0o600) == 0, listen(descriptor, 128) == 0,
      rename(provisional, path) == 0
    else {
      let error = ListenError.system("listen on", path)
      close(descriptor)
      unlink(provisional)
      throw error
    }
    return descriptor
  }

  /// Makes sure that no service listens there; what a dead one left may be replaced.
  private static func makeWay(at path: String) throws(ListenError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw ListenError(.invalid, "\(path) is there already and is not a socket")
    }
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { throw .system("make a socket for", path) }
    defer { close(probe) }
    if withUnixAddress(path, { connect(probe, $0, $1) }) == 0 {
      throw ListenError(.inUse, "another service listens on \(path) already")
    }
    guard errno == ECONNREFUSED || errno == ENOENT else { throw .system("take over", path) }
  }

  private static func bind(_ descriptor: Int32, _ path: String) -> Int32 {
    withUnixAddress(path) { Glibc.bind(descriptor, $0, $1) }
  }

  private static func withUnixAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { space in
      space.copyBytes(from: PathText.bytes(of: path).prefix(space.count - 1))
    }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  // MARK: - TCP

  private static func makeTCP(
    _ address: Loopback, _ port: UInt16
  ) throws(ListenError) -> (Int32, ServiceEndpoint) {
    let family =
      switch address {
      case .v4: AF_INET
      case .v6: AF_INET6
      }
    let name = "\(ServiceEndpoint.loopback(address, port: port))"
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system("make a socket for", name) }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard withAddress(address, port, { Glibc.bind(descriptor, $0, $1) }) == 0,
      listen(descriptor, 128) == 0
    else {
      let error =
        errno == EADDRINUSE
        ? ListenError(.inUse, "another service listens on \(name) already")
        : ListenError.system("listen on", name)
      close(descriptor)
      throw error
    }
    return (descriptor, .loopback(address, port: port == 0 ? boundPort(descriptor) : port))
  }

  private static func withAddress<Result>(
    _ loopback: Loopback, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    switch loopback {
    case .v4(let host):
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      inet_pton(AF_INET, host, &address.sin_addr)
      return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    case .v6(let host):
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      inet_pton(AF_INET6, host, &address.sin6_addr)
      return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    }
  }

  private static func boundPort(_ descriptor: Int32) -> UInt16 {
    // The port is at the same place in sockaddr_in and sockaddr_in6.
    var address = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    _ = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(descriptor, $0, &length)
      }
    }
    return UInt16(bigEndian: address.sin6_port)
  }
}

/// Why a service cannot listen, as one sentence.
public struct ListenError: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }

  static func system(_ operation: String, _ path: String) -> ListenError {
    ListenError("cannot \(operation) \(path)", cause: Errno(rawValue: errno))
  }
}
