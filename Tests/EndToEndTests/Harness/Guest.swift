import Glibc
import HostSystem
import Testing

/// A production host with a kernel of its own, in QEMU (Tests/Guest), and its disks: plain
/// files, which this machine reads at the same time as a second host reads a shared LUN.
///
/// The tests of its suite run one after the other, so only one thread has it at a time.
final class Guest: @unchecked Sendable {
  /// The guest of the suite that is running.
  @TaskLocal static var current: Guest?

  let scratch: Scratch
  /// What the guest has at /share.
  let folder: String
  /// The files behind /dev/vda, /dev/vdb, …
  let disks: [String]
  /// Of this machine's loopback address; leads to `servicePort` of the guest.
  let port: Int
  static let servicePort = 5000
  private let machine: ChildProcess
  /// Held as long as the guest is wanted: it is killed when this process is gone.
  private let lines: Int32
  private var count = 0

  /// Boots a guest with disks of so many MiB each and waits until it is up.
  init(disks sizes: [Int]) throws {
    scratch = try Scratch()
    folder = try scratch.directory("guest")
    let path = scratch.path
    disks = try sizes.indices.map { index in
      let disk = "\(path)/disk\(index)"
      try EndToEndTests.run("truncate", ["-s", "\(sizes[index])M", disk])
      return disk
    }
    port = try Self.freePort()
    let fifo = "\(path)/lines"
    guard mkfifo(fifo, 0o600) == 0 else { throw HarnessError("no FIFO: \(errorText(errno))") }
    // Open both ways, so that neither end waits for the other.
    lines = open(fifo, O_RDWR | O_CLOEXEC)
    machine = try scratch.start(
      "bash",
      [
        "-c", "exec \"$0\" \"$@\" <\(fifo)", "\(Floe.repository)/Tests/Guest/boot", folder,
        "--forward", "\(port):\(Self.servicePort)",
      ] + disks.flatMap { ["--disk", $0] })
    try waitUntil("the guest is up", seconds: 240) {
      if machine.hasEnded { throw HarnessError("the guest ended: \(machine.errors)\n\(console)") }
      return machine.output.contains("ready ")
    }
  }

  deinit { close(lines) }

  /// What its kernel wrote.
  var console: String {
    (try? readFile("\(folder)/console")).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// A script that runs in the guest.
  struct Script {
    fileprivate let number: Int
    let guest: Guest

    var output: String {
      let bytes = (try? readFile("\(guest.folder)/\(number).output")) ?? []
      return String(decoding: bytes, as: UTF8.self)
    }

    /// `nil` while it runs.
    var status: Int? {
      let line = guest.machine.output.split(separator: "\n").first { $0.hasPrefix("\(number) ") }
      return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    /// Waits for its end; returns its output.
    @discardableResult
    func wait(seconds: Int = 300) throws -> String {
      try waitUntil("script \(number) of the guest ends", seconds: seconds) {
        if guest.machine.hasEnded { throw HarnessError("the guest ended\n\(guest.console)") }
        return status != nil
      }
      guard status == 0 else {
        throw HarnessError("a script of the guest ended with \(status ?? -1):\n\(output)")
      }
      return output
    }
  }

  /// Starts a shell script in the guest, as root, in which any command that fails ends it.
  func start(_ script: String) throws -> Script {
    count += 1
    let text = """
      set -eu -o pipefail
      floe=\(Floe.program) state=/tmp/state
      \(script)

      """
    try writeFile("\(folder)/\(count).script", Array(text.utf8))
    let line = Array("\(count)\n".utf8)
    guard write(lines, line, line.count) == line.count else {
      throw HarnessError("the guest takes no script: \(errorText(errno))")
    }
    return Script(number: count, guest: self)
  }

  /// Runs a shell script in the guest to its end; returns its output.
  @discardableResult
  func run(_ script: String, seconds: Int = 300) throws -> String {
    try start(script).wait(seconds: seconds)
  }

  /// Ends the guest as a host ends that loses power: nothing that it had not written comes
  /// to its disks.
  func die() throws {
    machine.signal(SIGKILL)
    try machine.wait(seconds: 60)
    try waitUntil("QEMU is gone", seconds: 30) {
      // The disks are its alone.
      try !attempt("pgrep", ["-f", "qemu-system.*\(folder)"]).succeeded
    }
  }

  /// Starts `floe serve` in the guest, unless it runs, and waits until it answers here.
  func serve() throws {
    let nothing = source("nothing")
    func answers() throws -> Bool {
      !(try attempt(Floe.program, ["inspect", nothing])).errors.contains("no service answers")
    }
    if try answers() { return }
    _ = try start("exec $floe serve --state $state")
    _ = try start(
      """
      until [ -S $state/floe.sock ]; do sleep 0.1; done
      exec socat TCP-LISTEN:\(Self.servicePort),fork,reuseaddr UNIX-CONNECT:$state/floe.sock
      """)
    try waitUntil("the guest's service answers", seconds: 120) { try answers() }
  }

  /// Where this machine finds an image that the guest serves.
  func source(_ image: String) -> String { "floe://127.0.0.1:\(port)/\(image)" }

  /// Mounts an image on this machine, which reads the disks' files.
  func mount(_ image: String, options: [String] = [], name: String) throws -> BackupHost {
    let known = try EndToEndTests.run(Floe.program, ["inspect", source(image)])
    let media = disks.indices.compactMap { index -> (id: String, path: String)? in
      let device = "/dev/vd\(["a", "b", "c", "d"][index])"
      return known.contains(device) ? (device, disks[index]) : nil
    }
    return try BackupHost(source(image), media: media, options: options, in: scratch, name: name)
  }

  private static func freePort() throws -> Int {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(file) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(file, $0, length) == 0 && getsockname(file, $0, &length) == 0
      }
    }
    guard isBound else { throw HarnessError("no port: \(errorText(errno))") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}

/// Boots one guest for all tests of a suite, and ends it after the last.
struct SharedGuest: SuiteTrait, TestScoping {
  /// Of each disk, MiB.
  let disks: [Int]

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await Guest.$current.withValue(Guest(disks: disks)) { try await function() }
  }
}

/// What the tests in a guest need beside what the others do.
enum GuestRequirements {
  static let missing: [String] = {
    let programs = [
      "qemu-system-x86_64", "busybox", "socat", "cpio", "depmod", "setpriv", "dmsetup", "mdadm",
    ]
    return programs.filter { (try? attempt("which", [$0]))?.succeeded != true }
  }()

  static var comment: Comment {
    "tests in a guest need \(missing.joined(separator: ", ")): mount-scripts/install-missing guest"
  }

  /// In CI nothing may be skipped.
  static var testsRun: Bool {
    missing.isEmpty || getenv("CI").map { String(cString: $0) == "true" } ?? false
  }
}
