import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A name for the socket of a production host's service that stays for a whole run, although each
/// connection of ssh brings the socket under another one: a symbolic link.
struct ServiceLink {
  /// The directory that production hosts bring their sockets into.
  let directory: String
  let path: String

  init(of run: String, in directory: String) {
    self.directory = directory
    path = "\(directory)/\(run).link"
  }

  /// Leads to a socket from now on.
  ///
  /// - Throws: `Failure` when it cannot be made.
  func lead(to socket: String) throws(Failure) {
    // sshd leaves the one of the connection before.
    if !leads(to: socket) { removeSocket() }
    let next = "\(path).new"
    unlink(next)
    guard symlink(socket, next) == 0, rename(next, path) == 0 else {
      throw Failure("the link \(path) cannot be made", cause: Errno(rawValue: errno))
    }
  }

  private func leads(to socket: String) -> Bool {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &bytes, bytes.count)
    return count > 0
      && PathText.text(of: bytes.prefix(count).map { UInt8(bitPattern: $0) }) == socket
  }

  /// Whether a service listens where it leads.
  var isAlive: Bool {
    let descriptor = floe_connect_unix(path)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
  }

  /// Removes it, and the socket where it is one that ssh made and left.
  func remove() {
    removeSocket()
    unlink(path)
  }

  /// Removes the socket that it leads to, where that is one that ssh made.
  private func removeSocket() {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return }
    let socket = PathText.text(of: bytes.prefix(count).map { UInt8(bitPattern: $0) })
    guard socket.hasPrefix("\(directory)/"),
      !socket.dropFirst(directory.count + 1).contains("/")
    else { return }
    unlink(socket)
  }
}
