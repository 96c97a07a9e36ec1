import CLinuxIO
import Glibc

/// Who listens on a Unix socket of this host.
public enum LocalPeer {
  /// Whether it is this very program, on this very host, run by root or by the user who
  /// runs this process.
  ///
  /// The kernel says which process listens (unix(7), SO_PEERCRED). That process must run the
  /// same program file as this one: a socket that `ssh -L` forwards from another host is
  /// listened on by ssh. What a service says of itself (this host's boot identifier, say)
  /// would prove less: it stands in every line of a journal that is collected elsewhere.
  /// Nor is a container this host, whose paths lead elsewhere: it has a namespace of process
  /// numbers of its own (pid_namespaces(7)), and the listening process must be in ours.
  /// And the socket must lie where no other user can put another in its place afterwards.
  public static func isThisProgram(listeningOn socket: String) -> Bool {
    guard isOutOfOthersReach(socket) else { return false }
    let descriptor = floe_connect_unix(socket)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var process: Int32 = 0
    var user: UInt32 = 0
    // The number is 0 for a process that this one's namespace does not show.
    guard floe_peer(descriptor, &process, &user) == 0, process > 0, isTrusted(user) else {
      return false
    }
    // Of another namespace's /proc, the numbers mean other processes.
    var number = [CChar](repeating: 0, count: 32)
    guard readlink("/proc/self", &number, 31) > 0, atoi(number) == getpid() else { return false }
    return ["exe", "ns/pid"].allSatisfy { isSame("/proc/self/\($0)", "/proc/\(process)/\($0)") }
  }

  /// Whether two links of /proc lead to the same thing.
  private static func isSame(_ one: String, _ other: String) -> Bool {
    var (first, second) = (stat(), stat())
    return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev
      && first.st_ino == second.st_ino
  }

  private static func isTrusted(_ user: uid_t) -> Bool { user == 0 || user == geteuid() }

  /// Whether only root and the user of this process can change what a path leads to.
  static func isOutOfOthersReach(_ path: String) -> Bool {
    guard let resolved = realpath(path, nil) else { return false }
    defer { free(resolved) }
    var rest = String(cString: resolved)[...]
    var isLast = true
    while true {
      var status = stat()
      guard lstat(rest.isEmpty ? "/" : String(rest), &status) == 0, isTrusted(status.st_uid)
      else { return false }
      // In a sticky directory nobody else renames or removes what is another's.
      let others: mode_t = S_IWGRP | S_IWOTH
      guard isLast || status.st_mode & others == 0 || status.st_mode & S_ISVTX != 0 else {
        return false
      }
      guard let slash = rest.lastIndex(of: "/") else { return true }
      rest = rest[..<slash]
      isLast = false
    }
  }
}
