import CLinuxIO
import Glibc
import HostSystem

/// The lock that a command of lvm2 holds while it changes a volume group: an flock of a file that
/// is named for the group (lvm2 lib/locking/file_locking.c, lib/misc/lvm-flock.c). dmeventd holds
/// it as well, which does such work in its own process.
enum LVMLock {
  /// Where lvm2 keeps such files, as its configuration has it; `nil` where that cannot be told.
  static let directory: String? = {
    let output = floe_memory_file("output")
    guard output >= 0 else { return nil }
    defer { close(output) }
    let command = ["lvmconfig", "--type", "full", "global/locking_dir"]
    guard let child = LVMCommand.start(command, output: output), LVMCommand.end(of: child) == 0
    else { return nil }
    // locking_dir="/run/lock/lvm"
    let words = LVMCommand.sentence(in: output).split(separator: "\"")
    guard let key = words.firstIndex(where: { $0.hasSuffix("locking_dir=") }),
      let path = words.dropFirst(key + 1).first, path.hasPrefix("/")
    else { return nil }
    return String(path)
  }()

  /// Whether somebody changes a group, or waits to.
  ///
  /// - Parameter group: its name.
  /// - Returns: `nil` when that cannot be told.
  static func isHeld(of group: String, in directory: String?) -> Bool? {
    guard let directory, access(directory, X_OK) == 0 else { return nil }
    let file = open("\(directory)/V_\(group)", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    // lvm2 removes it with the lock.
    guard file >= 0 else { return errno == ENOENT ? false : nil }
    defer { close(file) }
    // Shared, as a command that only looks would have it, and given back at once.
    if flock(file, LOCK_SH | LOCK_NB) == 0 { return false }
    return errno == EWOULDBLOCK ? true : nil
  }

  /// The name of the group of a volume, by the name of its device: hyphens are doubled in what a
  /// single one parts (lvm2 libdm, `dm_build_dm_name`).
  static func group(ofDevice name: String) -> String? {
    var group: [Character] = []
    var rest = Array(name)[...]
    while let character = rest.popFirst() {
      guard character == "-" else {
        group.append(character)
        continue
      }
      guard rest.first == "-" else { return group.isEmpty ? nil : String(group) }
      rest.removeFirst()
      group.append("-")
    }
    return nil
  }
}
