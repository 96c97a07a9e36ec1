import CFuse3
import FrozenImage
import Glibc
import SystemPackage

/// The directory that a mount will cover.
struct Mountpoint {
  /// Absolute and without symbolic links, so that it stays right when the process
  /// changes its directory.
  let path: String

  /// Looks at the directory, so that what is wrong is said in one sentence instead
  /// of libfuse's words or fusermount3's.
  ///
  /// - Throws: `MountError` when nothing can be mounted there.
  init(_ path: String) throws(MountError) {
    var status = stat()
    if PathText.withCString(path, { stat($0, &status) }) != 0 {
      let errno = Errno(rawValue: errno)
      // What the kernel says for a FUSE mount that nobody serves any more.
      if errno == Errno(rawValue: ENOTCONN) { throw .deadMount(path: path) }
      throw .mountpoint(path: path, reason: errno.description)
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw .notADirectory(path: path) }
    guard let resolved = PathText.withCString(path, { realpath($0, nil) }) else {
      throw .mountpoint(path: path, reason: Errno(rawValue: errno).description)
    }
    self.path = PathText.text(cString: resolved)
    free(resolved)
    if try Self.fileSystemType(at: self.path) == "fuse.floe" {
      // The kernel remembers what the root of a frozen tree looks like, but not this.
      var space = statvfs()
      let isDead = statvfs(self.path, &space) != 0 && Glibc.errno == ENOTCONN
      throw isDead ? .deadMount(path: self.path) : .mounted(path: self.path)
    }
  }

  /// Checks what the kernel and libfuse need for a mount.
  static func checkPrerequisites() throws(MountError) {
    let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
    guard device >= 0 else {
      throw .device(reason: Errno(rawValue: errno).description)
    }
    close(device)
    guard geteuid() != 0 else { return }
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    // libfuse looks in its own directory first, then in PATH.
    let directories = ["/usr/bin", "/bin"] + path.split(separator: ":").map(String.init)
    guard directories.contains(where: { access("\($0)/fusermount3", X_OK) == 0 }) else {
      throw .noFusermount
    }
  }

  /// The type of the file system that is mounted on a path, the topmost one when
  /// there are several; `nil` when nothing is.
  private static func fileSystemType(at path: String) throws(MountError) -> String? {
    guard let table = fopen("/proc/self/mounts", "re") else {
      throw .mountpoint(path: path, reason: Errno(rawValue: errno).description)
    }
    defer { fclose(table) }
    var found: String?
    // getmntent undoes the escapes of the table (getmntent(3)).
    var entry = mntent()
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16384) { line in
      while getmntent_r(table, &entry, line.baseAddress, Int32(line.count)) != nil {
        if PathText.text(cString: entry.mnt_dir) == path { found = String(cString: entry.mnt_type) }
      }
    }
    return found
  }
}
