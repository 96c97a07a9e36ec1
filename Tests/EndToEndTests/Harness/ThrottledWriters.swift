import Glibc

/// Programs that write to a file past the page cache, many at once, over a device that
/// takes a few writes a second from them (the kernel's I/O controller): whatever waits
/// for their writes waits for long. Nobody else is slowed down.
final class ThrottledWriters {
  private static let count = 64
  private static let old = "/sys/fs/cgroup/blkio"
  private static let new = "/sys/fs/cgroup"

  /// Whether this kernel can slow writers down; in CI nothing may be skipped.
  static var canRun: Bool {
    let controllers = (try? readFile("\(new)/cgroup.controllers")) ?? []
    return access("\(old)/blkio.throttle.write_iops_device", W_OK) == 0
      || String(decoding: controllers, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        .contains("io")
      || getenv("CI").map { String(cString: $0) == "true" } ?? false
  }

  private let process: ChildProcess
  private let group: String
  private let limit: (file: String, lifting: String)
  private let device: String

  /// - Parameter file: as large as what is written to; made nodatacow before it was filled.
  init(_ file: String, on loop: String, writesPerSecond rate: Int, in scratch: Scratch) throws {
    let name = loop.split(separator: "/").last.map(String.init) ?? ""
    let number = try readFile("/sys/block/\(name)/dev").filter { $0 > 32 }
    device = String(decoding: number, as: UTF8.self)
    let tag = "floe-e2e.\(getpid()).\(name)"
    if access("\(Self.old)/blkio.throttle.write_iops_device", W_OK) == 0 {
      group = "\(Self.old)/\(tag)"
      limit = ("blkio.throttle.write_iops_device", "\(device) 0")
    } else {
      group = "\(Self.new)/\(tag)"
      limit = ("io.max", "\(device) wiops=max")
      _ = try? Self.set("\(Self.new)/cgroup.subtree_control", "+io")
    }
    guard mkdir(group, 0o755) == 0 || errno == EEXIST else {
      throw HarnessError("\(group) cannot be made: \(errorText(errno))")
    }
    let value = limit.file == "io.max" ? "\(device) wiops=\(rate)" : "\(device) \(rate)"
    do {
      try Self.set("\(group)/\(limit.file)", value)
      let work =
        "fio --name=w --filename=\(file) --rw=randwrite --bs=4k --direct=1 --ioengine=psync "
        + "--thread --numjobs=\(Self.count) --time_based --runtime=3600 --file_service_type=random "
        + "--overwrite=1 --allow_file_create=0 --randrepeat=0 --refill_buffers"
      process = try scratch.start(
        "sh", ["-c", "echo $$ > \(group)/cgroup.procs && exec \(work)"])
    } catch {
      rmdir(group)
      throw error
    }
    try waitUntil("all writers wait for the device") {
      if process.hasEnded { throw HarnessError("fio ended: \(process.errors)") }
      return tasksWaiting >= Self.count
    }
  }

  deinit { stop() }

  /// Ends the writers; those who wait for the device are let go first.
  func stop() {
    _ = try? Self.set("\(group)/\(limit.file)", limit.lifting)
    process.signal(SIGKILL)
    _ = try? process.wait(seconds: 60)
    rmdir(group)
  }

  /// Waits until the device has taken more writes.
  func waitForWrites(_ count: Int) throws {
    let target = try written + count
    try waitUntil("\(count) more writes") { try written >= target }
  }

  private var written: Int {
    get throws {
      let isOld = limit.file != "io.max"
      let file = isOld ? "blkio.throttle.io_serviced" : "io.stat"
      let text = String(decoding: try readFile("\(group)/\(file)"), as: UTF8.self)
      let words = text.split(separator: "\n").map { $0.split(separator: " ") }
        .filter { $0.first.map(String.init) == device }
      if isOld { return words.first { $0.contains("Write") }?.last.flatMap { Int($0) } ?? 0 }
      let entry = words.first?.first { $0.hasPrefix("wios=") }
      return entry.flatMap { Int($0.dropFirst(5)) } ?? 0
    }
  }

  private var tasksWaiting: Int {
    let tasks = "/proc/\(process.identifier)/task"
    return ((try? names(in: tasks)) ?? []).count { task in
      let status = (try? readFile("\(tasks)/\(task)/stat")) ?? []
      return String(decoding: status, as: UTF8.self).contains(") D ")
    }
  }

  private static func set(_ file: String, _ value: String) throws {
    let descriptor = open(file, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw HarnessError("\(file) cannot be opened: \(errorText(errno))")
    }
    defer { close(descriptor) }
    guard write(descriptor, value, value.utf8.count) == value.utf8.count else {
      throw HarnessError("\(file) does not take \(value): \(errorText(errno))")
    }
  }
}
