import CFuse3
import CMountCalls
import Glibc
import Testing

let directFlag = Int32(mount_direct)
let seekData = Int32(mount_seek_data)
let seekHole = Int32(mount_seek_hole)

/// A system call that failed.
struct CallError: Error, Hashable, CustomStringConvertible {
  let call: String
  let errno: Int32

  var description: String { "\(call): \(String(cString: strerror(errno)))" }
}

@discardableResult
func check<Value: SignedInteger>(_ result: Value, _ call: String) throws -> Value {
  guard result >= 0 else { throw CallError(call: call, errno: errno) }
  return result
}

/// The errno that a system call fails with; `nil` when it does not fail.
func failure<Value: SignedInteger>(_ call: () throws -> Value) rethrows -> Int32? {
  try call() < 0 ? errno : nil
}

/// What `lstat` tells.
func status(_ path: String) throws -> stat {
  var status = stat()
  try check(lstat(path, &status), "lstat \(path)")
  return status
}

/// Runs the body with a descriptor of an open file.
func opened<Value>(
  _ path: String, _ flags: Int32 = O_RDONLY, _ body: (Int32) throws -> Value
) throws -> Value {
  let file = try check(open(path, flags | O_CLOEXEC), "open \(path)")
  defer { close(file) }
  return try body(file)
}

/// At most `count` bytes of a file from `offset` on, in one call.
func bytes(of file: Int32, at offset: Int, count: Int) throws -> [UInt8] {
  var buffer = [UInt8](repeating: 0xAA, count: count)
  let count = try check(pread(file, &buffer, count, offset), "pread at \(offset)")
  return Array(buffer.prefix(count))
}

/// A file's bytes, read from start to end.
func contents(of path: String) throws -> [UInt8] {
  try opened(path) { file in
    var result: [UInt8] = []
    while true {
      let piece = try bytes(of: file, at: result.count, count: 1 << 20)
      if piece.isEmpty { return result }
      result += piece
    }
  }
}

/// A new directory in /tmp that everybody may enter.
func temporaryDirectory() throws -> String {
  var template = Array("/tmp/floe-mount.XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else { throw CallError(call: "mkdtemp", errno: errno) }
  let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  try check(chmod(path, 0o755), "chmod \(path)")
  return path
}

/// A line of the mount table.
struct MountEntry {
  let source: String
  let type: String
  let options: Set<String>
}

/// What is mounted on a path.
func mountEntry(_ path: String) -> MountEntry? {
  guard let table = setmntent("/proc/self/mounts", "re") else { return nil }
  defer { endmntent(table) }
  var found: MountEntry?
  while let entry = getmntent(table)?.pointee {
    guard String(cString: entry.mnt_dir) == path else { continue }
    found = MountEntry(
      source: String(cString: entry.mnt_fsname), type: String(cString: entry.mnt_type),
      options: Set(String(cString: entry.mnt_opts).split(separator: ",").map(String.init)))
  }
  return found
}

func isMounted(_ path: String) -> Bool { mountEntry(path) != nil }

/// What a shell command prints, run as another user.
func output(asUser user: uid_t, _ command: String) throws -> (text: String, status: Int32) {
  let prefix = "exec setpriv --reuid \(user) --regid \(user) --clear-groups sh -c"
  let pipe = try #require(popen("\(prefix) '\(command)' 2>&1", "re"))
  var text: [UInt8] = []
  while case let character = fgetc(pipe), character != EOF {
    text.append(UInt8(truncatingIfNeeded: character))
  }
  return (String(decoding: text, as: UTF8.self), pclose(pipe) >> 8)
}
