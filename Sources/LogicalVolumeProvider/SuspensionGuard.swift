import CKernelDevices
import CLinuxIO
import Glibc
import HostSystem

/// The process that runs lvcreate, and ends the time in which nobody can write to the origin
/// if that takes too long.
///
/// While lvm2 makes a snapshot it suspends the origin's device, which freezes the file system
/// on it. This process is locked in memory and in a session of its own, and needs nothing from
/// that file system: it looks at sysfs, and resumes devices by ioctl. sysfs says so only when the
/// device is suspended: what the kernel does before, stopping writes and writing out what is left,
/// nobody can end. It never ends lvm2, which
/// may be in the middle of a change of its metadata, and goes on when floe itself is killed.
package enum SuspensionGuard {
  /// The first argument of a program that is to stand guard.
  package static let command = "snapshot-guard"

  /// Microseconds between two looks.
  private static let pause: UInt32 = 1000

  /// Nanoseconds for which another guard is waited for.
  private static let patience: UInt64 = 60_000_000_000

  /// What became of the snapshot, as the guard tells it.
  struct Outcome {
    /// lvcreate's exit status.
    var status: Int32
    /// Nanoseconds for which the origin was suspended.
    var quiet: UInt64
    /// Whether the guard had to resume a device.
    var wasForced: Bool
    /// What lvcreate said.
    var output: String

    /// What the guard writes, in one line.
    var line: String { "\(status) \(quiet) \(wasForced ? 1 : 0) \(output)" }

    init(status: Int32, quiet: UInt64, wasForced: Bool, output: String) {
      self.status = status
      self.quiet = quiet
      self.wasForced = wasForced
      self.output = output
    }

    /// Reads what a guard wrote; `nil` when it ended before.
    init?(_ line: String) {
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
      guard words.count == 4, let status = Int32(words[0]), let quiet = UInt64(words[1]) else {
        return nil
      }
      self.init(
        status: status, quiet: quiet, wasForced: words[2] == "1", output: String(words[3]))
    }
  }

  /// Runs a command of lvm2 and watches over a device until both rest.
  ///
  /// - Parameters:
  ///   - device: the origin's, "253:3".
  ///   - limit: nanoseconds after which suspended devices of its group are resumed.
  ///   - words: the command and its arguments.
  ///   - socket: where the outcome is told.
  /// - Returns: the process' exit status.
  package static func stand(
    over device: String, limit: UInt64, running words: [String], socket: Int32 = 3
  ) -> Int32 {
    // A caller may have it ignored: then nobody is told how a child ended.
    signal(SIGCHLD, SIG_DFL)
    let output = floe_memory_file("output")
    let control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC)
    guard output >= 0, control >= 0, ckernel_lock_memory() == 0,
      let number = DeviceNumber(device), let devices = GroupDevices(of: number, control: control)
    else { return EXIT_FAILURE }
    outliveOthers()
    guard let lock = GroupLock(group: devices.group) else { return EXIT_FAILURE }
    let refusal =
      wait(for: devices, lock, limit: limit)
      ?? (lock.note(device) ? nil : "nothing can be written to /run")
    if let refusal {
      tell(
        Outcome(status: EX_TEMPFAIL, quiet: 0, wasForced: false, output: refusal), socket)
      return EXIT_SUCCESS
    }
    // As `LVMCommand.start` has it, under the command's own name, by which thaw finds it.
    setenv("LC_ALL", "C", 1)
    guard let first = words.first,
      let child = ChildProcess.spawn(
        LVMCommand.path(of: first), words, isMute: true, output: output, joinsErrors: true)
    else { return EXIT_FAILURE }
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] { signal(number, SIG_IGN) }
    // lvm2 goes before others while devices are suspended. Where this is not allowed, the looks
    // come later.
    _ = ckernel_run_first()
    // Not lvm2's: it knows what its devices take. Older kernels than 5.6 have no such flag.
    _ = ckernel_write_for_others()
    var clock = SuspensionClock(limit: limit)
    var status: Int32?
    // Others suspend volumes as well, when lvm2 has ended.
    repeat {
      if status == nil { status = ended(child) }
      if clock.look(isSuspended: devices.isSuspended, at: MonotonicClock.now(), status: status) {
        devices.resume()
      }
      usleep(pause)
    } while status == nil || clock.isSuspended
    lock.forget()
    tell(
      Outcome(
        status: status ?? EXIT_FAILURE, quiet: clock.quiet, wasForced: clock.wasForced,
        output: LVMCommand.sentence(in: output)), socket)
    return EXIT_SUCCESS
  }

  private static func tell(_ outcome: Outcome, _ socket: Int32) {
    let line = Array(outcome.line.utf8)
    // Who is gone needs no word.
    _ = send(socket, line, line.count, Int32(MSG_NOSIGNAL))
  }

  /// Where memory is short others end first, also for the command that is started then, which
  /// must not end half-way.
  private static func outliveOthers() {
    let file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    _ = write(file, "-1000", 5)
  }

  /// Waits until no other guard stands over the group, so that none takes another's suspension
  /// for its own, and nobody has the origin suspended. The lock lasts as long as this process.
  ///
  /// - Returns: why that is given up.
  private static func wait(
    for devices: GroupDevices, _ lock: borrowing GroupLock, limit: UInt64
  ) -> String? {
    let begin = MonotonicClock.now()
    while !lock.take() {
      guard MonotonicClock.now() - begin < patience else {
        return "another snapshot in the volume group is made or removed, and takes too long"
      }
      usleep(10_000)
    }
    let quiet = MonotonicClock.now()
    while devices.isSuspended {
      guard MonotonicClock.now() - quiet <= limit else {
        return "somebody else has the volume suspended (dmsetup info), so nothing was begun"
      }
      usleep(pause)
    }
    return nil
  }

  /// The exit status of a child; `nil` while it runs. One of which nobody can tell ended badly.
  static func ended(_ child: Int32) -> Int32? {
    var status: Int32 = 0
    let ended = waitpid(child, &status, WNOHANG)
    if ended < 0, errno == ECHILD { return 127 }
    guard ended == child else { return nil }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
  }
}
