import Glibc

/// A directory on tmpfs for one test, and everything that lives because of it:
/// processes, mounts, loop devices. All of it goes when the scratch goes, whatever
/// happened in between.
///
/// What belongs to it is found by its path (in command lines, the mount table, the
/// backing files of loop devices), not from notes of our own, so a test that was
/// killed is cleaned up by the next run.
final class Scratch {
  let path: String
  /// Locked for as long as this process lives: what is not locked is a leftover. A process
  /// ID would not do, as a run that is on a leash has process IDs of its own.
  private let lock: Int32
  /// Kept until the scratch goes, so that none ends because its test no longer
  /// looks at it.
  private var children: [ChildProcess] = []

  private static let prefix = "floe-e2e."
  private static var base: String {
    getenv("FLOE_TEST_DIRECTORY").map { String(cString: $0) } ?? "/dev/shm"
  }

  init() throws {
    try Self.removeLeftovers()
    // It gets its name once it is locked, so that no other run takes it for a leftover.
    var template = Array("\(Self.base)/floe-new.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw HarnessError("no directory in \(Self.base): \(errorText(errno))")
    }
    let made = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let lock = Self.lock(made) else {
      throw HarnessError("\(made) cannot be locked: \(errorText(errno))")
    }
    self.lock = lock
    path = "\(Self.base)/\(Self.prefix)\(made.suffix(6))"
    guard rename(made, path) == 0 else {
      throw HarnessError("\(made) cannot be renamed: \(errorText(errno))")
    }
  }

  deinit {
    for child in children.reversed() { child.signal(SIGKILL) }
    Self.remove(path)
    close(lock)
  }

  /// Locks a directory by a file in it, as floe locks directories itself; `nil` when another
  /// process holds it.
  private static func lock(_ directory: String) -> Int32? {
    let file = open("\(directory)/e2e.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { return nil }
    guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
      close(file)
      return nil
    }
    return file
  }

  /// Starts a program that runs beside the test, at most as long as the scratch lives.
  func start(_ program: String, _ arguments: [String]) throws -> ChildProcess {
    let child = try ChildProcess(program, arguments)
    children.append(child)
    return child
  }

  /// Makes a directory and returns its path.
  func directory(_ name: String) throws -> String {
    let directory = "\(path)/\(name)"
    guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
      throw HarnessError("\(directory) cannot be made: \(errorText(errno))")
    }
    return directory
  }

  /// Removes what test processes that are gone left behind.
  private static func removeLeftovers() throws {
    for name in try names(in: base) where name.hasPrefix(prefix) {
      guard let leftover = lock("\(base)/\(name)") else { continue }
      remove("\(base)/\(name)")
      close(leftover)
    }
  }

  private static func remove(_ path: String) {
    killProcesses(mentioning: path)
    // A file system can need several turns: the mount of an image file goes before
    // the file system that holds the file.
    for _ in 0..<50 {
      let mounts = mountpoints(below: path)
      let loops = loopDevices(backedBelow: path)
      if mounts.isEmpty && loops.isEmpty { break }
      for mount in mounts.reversed() where umount2(mount, 0) != 0 {
        usleep(20_000)
        killProcesses(mentioning: path)
      }
      if mountpoints(below: path).isEmpty {
        for loop in loopDevices(backedBelow: path) { _ = try? attempt("losetup", ["-d", loop]) }
      }
    }
    for mount in mountpoints(below: path).reversed() { umount2(mount, Int32(MNT_DETACH)) }
    for loop in loopDevices(backedBelow: path) { _ = try? attempt("losetup", ["-d", loop]) }
    _ = try? attempt("rm", ["-rf", "--one-file-system", path])
  }

  private static func killProcesses(mentioning path: String) {
    for name in (try? names(in: "/proc")) ?? [] {
      guard let process = pid_t(name), process != getpid(),
        let line = try? readFile("/proc/\(name)/cmdline"), contains(line, Array(path.utf8))
      else { continue }
      kill(process, SIGKILL)
    }
  }

  private static func contains(_ bytes: [UInt8], _ pattern: [UInt8]) -> Bool {
    guard bytes.count >= pattern.count else { return false }
    return (0...bytes.count - pattern.count).contains { bytes[$0...].starts(with: pattern) }
  }

  /// Mounts whose mountpoint lies below a path, in the order in which they were made.
  static func mountpoints(below path: String) -> [String] {
    let table = (try? readFile("/proc/self/mountinfo")) ?? []
    return String(decoding: table, as: UTF8.self).split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      guard fields.count > 4, fields[4].hasPrefix(path + "/") else { return nil }
      return String(fields[4])
    }
  }

  private static func loopDevices(backedBelow path: String) -> [String] {
    ((try? names(in: "/sys/block")) ?? []).filter { name in
      guard name.hasPrefix("loop"),
        let file = try? readFile("/sys/block/\(name)/loop/backing_file")
      else { return false }
      return String(decoding: file, as: UTF8.self).hasPrefix(path + "/")
    }.map { "/dev/\($0)" }
  }
}

/// The names in a directory, without "." and "..", sorted.
func names(in directory: String) throws -> [String] {
  guard let stream = opendir(directory) else {
    throw HarnessError("\(directory) cannot be listed: \(errorText(errno))")
  }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// All bytes of a file.
func readFile(_ path: String) throws -> [UInt8] {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw HarnessError("\(path) cannot be opened: \(errorText(errno))") }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = read(file, &buffer, buffer.count)
    guard count >= 0 else { throw HarnessError("\(path) cannot be read: \(errorText(errno))") }
    guard count > 0 else { return bytes }
    bytes += buffer.prefix(count)
  }
}

/// Makes a file of these bytes.
func writeFile(_ path: String, _ bytes: some Collection<UInt8>) throws {
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard file >= 0 else { throw HarnessError("\(path) cannot be made: \(errorText(errno))") }
  defer { close(file) }
  let bytes = Array(bytes)
  var done = 0
  while done < bytes.count {
    let count = bytes.withUnsafeBytes { buffer in
      buffer.baseAddress.map { write(file, $0 + done, bytes.count - done) } ?? -1
    }
    guard count > 0 else { throw HarnessError("\(path) cannot be written: \(errorText(errno))") }
    done += count
  }
}
