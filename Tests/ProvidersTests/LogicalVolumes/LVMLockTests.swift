import Glibc
import Testing

@testable import LogicalVolumeProvider

/// What lvm2's lock file of a group tells.
@Suite struct LVMLockTests {
  @Test func whoChangesAGroupHoldsItsLock() throws {
    let directory = try shell("mktemp -d").trimmed
    defer { _ = try? shell("rm -rf \(directory)", ignoringFailure: true) }
    #expect(LVMLock.isHeld(of: "vg", in: "\(directory)/none") == nil)
    #expect(LVMLock.isHeld(of: "vg", in: nil) == nil)
    #expect(LVMLock.isHeld(of: "vg", in: directory) == false)
    let file = open("\(directory)/V_vg", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(file) }
    #expect(LVMLock.isHeld(of: "vg", in: directory) == false)
    #expect(flock(file, LOCK_EX | LOCK_NB) == 0)
    #expect(LVMLock.isHeld(of: "vg", in: directory) == true)
    #expect(LVMLock.isHeld(of: "other", in: directory) == false)
    // Those that only look change nothing.
    #expect(flock(file, LOCK_SH | LOCK_NB) == 0)
    #expect(LVMLock.isHeld(of: "vg", in: directory) == false)
    // What it looks at is free again.
    #expect(flock(file, LOCK_EX | LOCK_NB) == 0)
  }

  @Test(arguments: [
    ("vg-root", "vg"), ("my--group-root", "my-group"), ("vg-a--b-real", "vg"),
    ("a----b-c", "a--b"),
  ])
  func groupsOfDevices(_ device: String, _ group: String) {
    #expect(LVMLock.group(ofDevice: device) == group)
  }

  @Test(arguments: ["", "vg", "-root", "vg--root"])
  func othersHaveNone(_ device: String) { #expect(LVMLock.group(ofDevice: device) == nil) }

  @Test func lvm2SaysWhereItsLocksAre() throws {
    guard (try? shell("command -v lvmconfig")) != nil else { return }
    #expect(LVMLock.directory?.hasPrefix("/") == true)
  }
}
