import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// What is wrong with a SOURCE, as far as this host can tell before anybody is asked.
enum SourceAdvice {
  /// What a SOURCE can be.
  static let forms =
    "SOURCE is ssh://[USER@]HOST/IMAGE, floe+unix:SOCKET/IMAGE, floe://HOST[:PORT]/IMAGE, or a "
    + "file that floe freeze -o wrote"

  /// - Throws: `Failure` for a text with another scheme than floe's, as http://.
  static func checkScheme(_ text: String) throws(Failure) {
    guard !ImageSource.isAddress(text), let colon = text.firstRange(of: "://"),
      text[..<colon.lowerBound].allSatisfy({ $0.isASCII && ($0.isLetter || "+-.".contains($0)) }),
      access(text, F_OK) != 0
    else { return }
    throw Failure(.notFound, "“\(text)” is no image: \(forms)")
  }

  /// - Parameter path: of what is to be a representation's file.
  /// - Throws: `Failure` when it is something else, or cannot be read.
  static func checkFile(_ path: String) throws(Failure) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let reason = Errno(rawValue: errno)
      let parent = FilePath(path).removingLastComponent().string
      if reason == .notDirectory, isSocket(parent) {
        throw Failure(.invalid, "\(parent) is a socket: write floe+unix:\(path)")
      }
      throw Failure(.invalid, "\(path): \(reason); \(forms)")
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      guard access(path, R_OK) == 0 else {
        throw Failure("\(path) cannot be read", cause: Errno(rawValue: errno))
      }
    case S_IFDIR: throw Failure(.invalid, "\(path) is a directory; \(forms)")
    case S_IFSOCK:
      throw Failure(
        .invalid,
        "\(path) is a socket: write floe+unix:\(path)/IMAGE, with the name of an image behind it")
    default: throw Failure(.invalid, "\(path) is no file; \(forms)")
    }
  }

  /// - Parameter path: after `floe+unix:`, with an image's name at its end.
  /// - Throws: `Failure` when the name is missing, or the socket may not be used.
  static func checkSocket(_ path: String) throws(Failure) {
    let socket = FilePath(path).removingLastComponent().string
    if isSocket(path) || path.hasSuffix("/") && isSocket(socket) {
      throw Failure(
        .invalid,
        "floe+unix:\(path) names no image: write its name behind the socket, "
          + "floe+unix:\(isSocket(path) ? path : socket)/IMAGE (floe images lists them)")
    }
    var status = stat()
    guard stat(socket, &status) == 0 else {
      guard errno == EACCES else { return }
      throw Failure(
        "the socket \(socket) may not be used by this user", cause: Errno(rawValue: errno))
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw Failure(.invalid, "\(socket) is no socket of a service; \(forms)")
    }
    guard access(socket, W_OK) == 0 else {
      throw Failure(
        .notPermitted,
        "the socket \(socket) is for its owner alone: \(Errno(rawValue: errno)); "
          + "run this as the owner, or as root")
    }
  }

  private static func isSocket(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
  }
}
