import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import SystemPackage

/// A way to a Unix socket whose directory is not UTF-8, which the transport cannot name: the
/// directory is held open, and named by its descriptor.
final class SocketDirectory: Sendable {
  /// Of the socket; for this process only.
  let path: String
  private let descriptor: Int32

  /// - Returns: `nil` where none is needed.
  /// - Throws: `ServiceError.unreachable`.
  init?(for endpoint: ServiceEndpoint) throws(ServiceError) {
    guard case .unix(let socket) = endpoint, Self.hidesBytes(socket) else { return nil }
    let place = FilePath(socket)
    guard let name = place.lastComponent?.string, !Self.hidesBytes(name) else {
      throw .unreachable(endpoint, reason: "the name of a Unix socket has to be UTF-8")
    }
    let parent = place.removingLastComponent()
    // O_PATH of open(2): the directory need not be readable.
    descriptor = open(parent.isEmpty ? "." : parent.string, 0o10000000 | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .unreachable(endpoint, reason: Errno(rawValue: errno).description)
    }
    path = "/proc/self/fd/\(descriptor)/\(name)"
  }

  deinit { close(descriptor) }

  private static func hidesBytes(_ text: String) -> Bool {
    text.unicodeScalars.contains { PathText.escapedByte($0) != nil }
  }
}
