import Glibc
import HostSystem
import Media
import TestTags
import Testing

/// Which files are read past the page cache: all that another host may write.
@Suite struct PageCacheTests {
  /// Whether the open medium of a path has O_DIRECT (asm/fcntl.h); `nil` when none is open.
  private func isDirect(_ path: String) -> Bool? {
    #if arch(arm64)
      let direct: Int32 = 0o200000
    #else
      let direct: Int32 = 0o40000
    #endif
    for descriptor: Int32 in 3..<1024 {
      var name = [CChar](repeating: 0, count: 4097)
      guard readlink("/proc/self/fd/\(descriptor)", &name, 4096) > 0 else { continue }
      let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      guard String(decoding: bytes, as: UTF8.self) == path else { continue }
      return fcntl(descriptor, F_GETFL) & direct != 0
    }
    return nil
  }

  /// A disk's file system may be mounted by the production host as well.
  @Test func aBackupHostReadsFilesPastIt() throws {
    let onDisk = try RandomFile(count: 1 << 20, on: "/var/tmp")
    let shared = try OpenMedium(path: onDisk.path, isShared: true)
    #expect(isDirect(onDisk.path) == true)
    let inMemory = try RandomFile(count: 1 << 20)
    let own = try OpenMedium(path: inMemory.path, isShared: true)
    #expect(isDirect(inMemory.path) == false)
    #expect(shared.size == own.size)
  }

  /// Below an overlay may lie a network.
  @Test(
    .tags(.needsRoot),
    .enabled(if: geteuid() == 0 || getenv("CI") != nil, "needs root, to mount an overlay"))
  func anOverlayIsNotLocal() throws {
    var template = Array("/var/tmp/floe-overlay-XXXXXX".utf8CString)
    let top = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { _ = ChildProcess.run("rm", ["rm", "-rf", top]) }
    for name in ["lower", "upper", "work", "merged"] { mkdir("\(top)/\(name)", 0o755) }
    let options = "lowerdir=\(top)/lower,upperdir=\(top)/upper,workdir=\(top)/work"
    try #require(mount("overlay", "\(top)/merged", "overlay", 0, options) == 0)
    defer { umount2("\(top)/merged", Int32(MNT_DETACH)) }
    let file = try RandomFile(count: 1 << 20, on: "\(top)/merged")
    let medium = try OpenMedium(path: file.path)
    #expect(isDirect(file.path) == true)
    #expect(medium.size == 1 << 20)
  }
}
