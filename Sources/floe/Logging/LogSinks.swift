import CLinuxIO
import Glibc
import HostSystem

/// One line for each message, with the time (RFC 3339):
/// "2026-11-26T15:30:00.125Z floe[4711]: warning: sentence (image nightly)".
struct StandardErrorLog: LogSink {
  func write(_ entry: LogEntry) {
    printError("\(TimeText.now()) floe[\(getpid())]: \(entry.level): \(entry.line)")
  }
}

/// syslog(3), which adds the time.
struct SystemLog: LogSink {
  func write(_ entry: LogEntry) {
    floe_syslog(entry.priority, "floe[\(getpid())]: \(entry.line)")
  }
}

/// The journal's own protocol: one datagram for each message, of lines FIELD=value
/// (systemd, "Native Journal Protocol").
final class Journal: LogSink {
  private static let socketPath = "/run/systemd/journal/socket"
  private let descriptor: Int32

  /// `nil` when no journal listens on this host.
  init?() {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { space in
      space.copyBytes(from: Self.socketPath.utf8.prefix(space.count - 1))
    }
    let isConnected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
    guard isConnected else {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Whether standard error is a stream to the journal: JOURNAL_STREAM (systemd.exec(5))
  /// names its device and inode number.
  static var isStandardError: Bool {
    guard let named = getenv("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(2, &status) == 0 else { return false }
    return String(cString: named) == "\(status.st_dev):\(status.st_ino)"
  }

  func write(_ entry: LogEntry) {
    var lines = [
      "MESSAGE=\(entry.line)", "PRIORITY=\(entry.priority)", "SYSLOG_IDENTIFIER=floe",
      "SYSLOG_PID=\(getpid())",
    ]
    // No value has a line end, which would need the protocol's other form.
    lines += entry.fields.map { "FLOE_\($0.name.uppercased())=\($0.value)" }
    let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
    let sent = bytes.withUnsafeBytes {
      send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    // A journal that is gone, or a message that is too long for it.
    if sent < 0 { SystemLog().write(entry) }
  }
}
