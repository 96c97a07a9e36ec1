import CKernelDevices
import CLinuxIO
import Glibc
import HostSystem

/// The process that runs lvcreate, and ends the time in which nobody can write to the origin
/// if that takes too long.
///
/// While lvm2 makes a snapshot it suspends the origin's device, which freezes the file system
/// on it. This process is locked in memory and in a session of its own, and needs nothing from
/// that file system: it looks at sysfs, and resumes devices by ioctl. It never ends lvm2, which
/// may be in the middle of a change of its metadata, and goes on when floe itself is killed.
package enum SuspensionGuard {
  /// The first argument of a program that is to stand guard.
  package static let command = "snapshot-guard"

  /// Microseconds between two looks.
  private static let pause: UInt32 = 1000

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
    let output = floe_memory_file("output")
    let control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC)
    guard let number = DeviceNumber(device), let first = words.first, output >= 0, control >= 0,
      ckernel_lock_memory() == 0,
      let child = ChildProcess.spawn(
        LVMCommand.path(of: first), words, isMute: true, output: output, joinsErrors: true)
    else { return EXIT_FAILURE }
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] { signal(number, SIG_IGN) }
    // lvm2 goes before others while devices are suspended. Where this is not allowed, the looks
    // come later.
    _ = ckernel_run_first()
    var watch = Watch(number, limit: limit, control: control)
    var status: Int32?
    // Others suspend volumes as well, when lvm2 has ended.
    while status == nil || watch.isSuspended {
      if status == nil { status = ended(child) }
      watch.look(isLeft: status.map { $0 != 0 } ?? false)
      usleep(pause)
    }
    let outcome = Outcome(
      status: status ?? EXIT_FAILURE, quiet: watch.quiet, wasForced: watch.wasForced,
      output: LVMCommand.sentence(in: output))
    let line = Array(outcome.line.utf8)
    // Who is gone needs no word.
    _ = send(socket, line, line.count, Int32(MSG_NOSIGNAL))
    return EXIT_SUCCESS
  }

  /// The exit status of a child; `nil` while it runs.
  private static func ended(_ child: Int32) -> Int32? {
    var status: Int32 = 0
    guard waitpid(child, &status, WNOHANG) == child else { return nil }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
  }

  /// What is seen of the origin's device.
  private struct Watch {
    private let number: DeviceNumber
    private let limit: UInt64
    private let control: Int32
    private let state: String
    private var since: UInt64?
    private(set) var quiet: UInt64 = 0
    private(set) var wasForced = false

    init(_ number: DeviceNumber, limit: UInt64, control: Int32) {
      self.number = number
      self.limit = limit
      self.control = control
      state = "/sys/dev/block/\(number)/dm/suspended"
    }

    var isSuspended: Bool { since != nil }

    /// - Parameter isLeft: whether whoever suspended it is gone without having resumed it.
    mutating func look(isLeft: Bool) {
      let now = MonotonicClock.now()
      guard SuspensionGuard.reads1(state) else {
        if let since { quiet += now - since }
        since = nil
        return
      }
      let begin = since ?? now
      since = begin
      guard isLeft || now - begin > limit else { return }
      wasForced = true
      resumeGroup()
    }

    /// Resumes all suspended devices of the group, those first that others lie on, which have
    /// longer identifiers ("LVM-…-real").
    private func resumeGroup() {
      let group = SuspensionGuard.text("/sys/dev/block/\(number)/dm/uuid").prefix(36)
      var suspended: [(length: Int, number: DeviceNumber)] = []
      for name in DirectoryListing.names(in: "/sys/class/block") where name.hasPrefix("dm-") {
        let directory = "/sys/class/block/\(name)"
        let id = SuspensionGuard.text("\(directory)/dm/uuid")
        guard id.hasPrefix(group), SuspensionGuard.reads1("\(directory)/dm/suspended"),
          let number = DeviceNumber(SuspensionGuard.text("\(directory)/dev"))
        else { continue }
        suspended.append((id.utf8.count, number))
      }
      for device in suspended.sorted(by: { $0.length > $1.length }) {
        _ = ckernel_resume(control, device.number.major, device.number.minor)
      }
    }
  }

  private static func reads1(_ path: String) -> Bool { text(path) == "1" }

  /// A short attribute of sysfs; empty when it is not there.
  private static func text(_ path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = read(file, &bytes, bytes.count)
    return String(
      decoding: bytes.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
