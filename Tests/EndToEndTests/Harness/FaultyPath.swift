import Glibc

/// The backup host's path to a medium, over which reads fail, come late, or stop: an
/// nbdfuse file over an nbdkit export of the raw file that the production host keeps.
///
/// Two servers stand in a row. The far one reads the raw file; it makes the faults, and
/// can be killed and started again. The near one connects anew when the far one is back,
/// so that the file stays the same open file all the time.
final class FaultyPath {
  /// What a read meets while the trigger is set.
  enum Fault {
    /// Every read fails.
    case everywhere
    /// So many of a hundred reads fail.
    case sometimes(percent: Int)
    /// Reads that touch the third of each 16 pieces of 128 KiB fail: the superblock and
    /// most of the files stay readable.
    case badPlaces
    /// Every read is late by this many milliseconds, trigger or not.
    case late(milliseconds: Int)
  }

  /// The medium, for the backup host.
  let path: String
  private var image: String
  private let fault: Fault
  private let scratch: Scratch
  private let trigger: String
  private let farSocket: String
  private var far: ChildProcess?

  init(to image: String, _ fault: Fault = .everywhere, in scratch: Scratch) throws {
    self.image = image
    self.fault = fault
    self.scratch = scratch
    let directory = try scratch.directory("path-to-\(image.split(separator: "/").last ?? "")")
    trigger = "\(directory)/fails"
    farSocket = "\(directory)/far"
    let nearSocket = "\(directory)/near"
    path = "\(directory)/file/medium"
    try start()
    let near = try scratch.start(
      "nbdkit",
      [
        "--foreground", "--unix", nearSocket, "--filter=retry", "nbd", "socket=\(farSocket)",
        "retries=1", "retry-delay=1",
      ])
    try waitUntil("the near server listens") {
      if near.hasEnded { throw HarnessError("nbdkit ended: \(near.errors)") }
      return access(nearSocket, F_OK) == 0
    }
    _ = try scratch.directory("path-to-\(image.split(separator: "/").last ?? "")/file")
    let mount = try scratch.start("nbdfuse", [path, "--unix", nearSocket])
    try waitUntil("\(path) is there") {
      if mount.hasEnded { throw HarnessError("nbdfuse ended: \(mount.errors)") }
      return access(path, F_OK) == 0
    }
  }

  /// Starts the far server.
  ///
  /// - Parameter other: another image that it shows from now on.
  func start(showing other: String? = nil) throws {
    image = other ?? image
    unlink(farSocket)
    let server = try scratch.start(
      "nbdkit", ["--foreground", "--read-only", "--unix", farSocket] + plugin)
    try waitUntil("the far server listens") {
      if server.hasEnded { throw HarnessError("nbdkit ended: \(server.errors)") }
      return access(farSocket, F_OK) == 0
    }
    far = server
  }

  /// Kills the far server.
  func kill() throws {
    far?.signal(SIGKILL)
    try far?.wait()
    far = nil
  }

  /// Stops the far server, connected as it is: reads come to no end.
  func hang() { far?.signal(SIGSTOP) }

  func fail() throws { try writeFile(trigger, []) }

  func heal() { unlink(trigger) }

  private var plugin: [String] {
    switch fault {
    case .everywhere: failing(percent: 100)
    case .sometimes(let percent): failing(percent: percent)
    case .badPlaces:
      [
        "eval", "get_size=stat -Lc %s '\(image)'", "thread_model=echo parallel",
        "pread=" + Self.readingExceptBadPlaces(image, trigger: trigger),
      ]
    case .late(let milliseconds):
      ["--filter=delay", "file", image, "rdelay=\(milliseconds)ms"]
    }
  }

  private func failing(percent: Int) -> [String] {
    [
      "--filter=error", "file", image, "error-pread=EIO", "error-pread-rate=\(percent)%",
      "error-pread-file=\(trigger)",
    ]
  }

  /// A script that is given a handle, a count of bytes and an offset.
  private static func readingExceptBadPlaces(_ image: String, trigger: String) -> String {
    """
    if [ -e '\(trigger)' ]; then
      block=$(($4 >> 17))
      while [ $block -le $((($4 + $3 - 1) >> 17)) ]; do
        if [ $((block % 16)) = 2 ]; then echo 'EIO a bad place' >&2; exit 1; fi
        block=$((block + 1))
      done
    fi
    dd if='\(image)' iflag=skip_bytes,count_bytes,fullblock bs=64k skip=$4 count=$3 2>/dev/null
    """
  }
}
