import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// An origin that may stand still although nobody works at it any more: lvm2 and the guard that
/// ran it were killed together, as with all that ran in a container.
struct LeftSuspension {
  private let device: DeviceNumber
  /// The group's identifier without dashes.
  private let group: String
  /// The group's name; `nil` where the kernel does not tell.
  private let groupName: String?

  /// Looks, a tenth of a second apart, that have to find the origin suspended and no lvm2 at
  /// work: dmeventd does lvm2's work in its own process, but not for long.
  private static let looks = 20

  /// Looks after which the origin is let go on under floe's own lvm2 as well, of which the guard
  /// was killed: no sooner than a guard does it.
  private static let looksAlone = 100

  /// Tenths of a second for which lvm2 may take its time.
  private static let patience = 600

  /// - Parameters:
  ///   - group: the group's identifier, as lvm2 writes it.
  ///   - volume: the origin's.
  /// - Returns: `nil` when it is not active on this host, so that nobody waits for it.
  init?(group: String, volume: String) {
    let id = "LVM-" + (group + volume).filter { $0 != "-" }
    let directory = "/sys/class/block"
    guard id.utf8.count == 68,
      let name = DirectoryListing.names(in: directory).first(where: { name in
        name.hasPrefix("dm-") && GroupDevices.text("\(directory)/\(name)/dm/uuid") == id
      }), let device = DeviceNumber(GroupDevices.text("\(directory)/\(name)/dev"))
    else { return nil }
    self.device = device
    self.group = group.filter { $0 != "-" }
    groupName = LVMLock.group(ofDevice: GroupDevices.text("\(directory)/\(name)/dm/name"))
  }

  /// Whether it stands still now, by floe's own lvm2, and nobody is at it.
  ///
  /// - Parameter isOwn: whether the lvm2 that is at work is floe's own: without its guard it is
  ///   as good as nobody.
  func isThere(isOwn: () -> Bool) -> Bool {
    guard isSuspended, !isAtWork || isOwn(), let lock = GroupLock(group: group), lock.take()
    else { return false }
    return lock.origin == "\(device)"
  }

  private var isSuspended: Bool {
    GroupDevices.text("/sys/dev/block/\(device)/dm/suspended") == "1"
  }

  /// Lets it go on, when it stands still by floe's own lvm2 and nobody is at it. What another
  /// tool suspended is that tool's to resume.
  ///
  /// - Parameter isOwn: whether the lvm2 that is at work is floe's own. Without its guard, which
  ///   was killed, nobody else would let the origin go on.
  /// - Throws: `StackError` when somebody is at it for too long, or this user may not.
  func end(isOwn: () -> Bool) throws(StackError) {
    guard let lock = GroupLock(group: group) else { return }
    var idle = 0
    var alone = 0
    for _ in 0..<Self.patience {
      guard lock.origin == "\(device)" else { return }
      guard isSuspended else {
        // lvm2 without its guard may suspend it yet.
        if !isOwn(), lock.take() { lock.forget() }
        return
      }
      let isUnguarded = lock.take()
      idle = !isUnguarded || isAtWork ? 0 : idle + 1
      alone = isUnguarded && isOwn() ? alone + 1 : 0
      if idle > Self.looks || alone > Self.looksAlone {
        try resume()
        return lock.forget()
      }
      usleep(100_000)
    }
    throw StackError(
      .inUse,
      "the origin of the snapshot is suspended while lvm2 is at work (ps -C lvm,lvcreate,lvremove): "
        + "let that end, and try again")
  }

  private func resume() throws(StackError) {
    let control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC)
    guard control >= 0 else {
      throw StackError(cannot: "let the origin of the snapshot go on", Errno(rawValue: errno))
    }
    defer { close(control) }
    GroupDevices(of: device, control: control)?.resume()
    guard !isSuspended else {
      throw StackError(.failed, "the origin of the snapshot stays suspended: see dmsetup resume")
    }
  }

  /// Whether lvm2, or a guard that runs it, is at work at the group; on this host, where lvm2's
  /// lock does not tell.
  private var isAtWork: Bool {
    if let groupName, let isHeld = LVMLock.isHeld(of: groupName, in: LVMLock.directory) {
      return isHeld
    }
    return Self.runs
  }

  /// Whether some lvm2 runs on this host, or a guard of one.
  private static var runs: Bool {
    DirectoryListing.names(in: "/proc").contains { process in
      guard let number = Int32(process), number != getpid() else { return false }
      if program(of: process).hasSuffix("/lvm") { return true }
      let words = (try? CompleteFile.read("/proc/\(process)/cmdline"))?.split(separator: 0) ?? []
      return words.dropFirst().first.map { String(decoding: $0, as: UTF8.self) }
        == SuspensionGuard.command
    }
  }

  /// The path of a process' program; empty where it cannot be told.
  private static func program(of process: String) -> String {
    var path = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/\(process)/exe", &path, path.count)
    let bytes = path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
