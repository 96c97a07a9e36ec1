import HostSystem
import Testing

@testable import HostChecks

/// What floe needs of a host.
@Suite("What floe needs of a host")
struct HostTests {
  @Test(
    "Kernels that are new enough, and others",
    arguments: [
      ("4.19.0-27-amd64", Finding.State.wrong), ("4.20.1", .ok), ("3.10.0-1160.el7", .wrong),
      ("6.1.0-37-amd64", .ok), ("10.0", .ok),
    ])
  func kernel(release: String, state: Finding.State) throws {
    let host = try RecordedHost(["/proc/sys/kernel/osrelease": "\(release)\n"])
    #expect(KernelCheck.finding(host.files).state == state)
  }

  @Test("A kernel that does not tell is no error")
  func silentKernel() throws {
    #expect(KernelCheck.finding(try RecordedHost([:]).files).state == .note)
  }

  @Test(
    "What /dev/fuse is, and who asks",
    arguments: [
      (FUSECheck.Device.opens(mode: 0o666), Finding.State.ok), (.opens(mode: 0o600), .note),
      (.refused(mode: 0o600, reason: "Permission denied"), .wrong), (.missing, .wrong),
    ])
  func device(device: FUSECheck.Device, state: Finding.State) {
    var check = FUSECheck()
    check.device = device
    for isRoot in [true, false] {
      check.isRoot = isRoot
      #expect(check.findings[0].state == state)
      #expect((check.findings[0].advice == nil) == (state == .ok))
    }
  }

  @Test("Without fusermount3 users cannot mount, and root can")
  func program() {
    var check = FUSECheck()
    check.program = nil
    check.isRoot = true
    #expect(check.findings[1].state == .note)
    check.isRoot = false
    #expect(check.findings[1].state == .wrong)
    check.program = "/usr/bin/fusermount3"
    check.isProgramSetUID = false
    #expect(check.findings[1].advice?.contains("chmod u+s /usr/bin/fusermount3") ?? false)
    check.isProgramSetUID = true
    #expect(check.findings[1].state == .ok)
  }

  @Test(
    "user_allow_other counts where it stands alone on its line",
    arguments: [
      ("user_allow_other\n", true), ("# user_allow_other\n", false),
      ("mount_max = 9\n user_allow_other", true),
      ("", false),
    ])
  func others(text: String, isAllowed: Bool) throws {
    let host = try RecordedHost(["/etc/fuse.conf": text])
    #expect(FUSECheck.letsOthersIn(host.files) == isAllowed)
  }

  @Test(
    "Clocks are compared as far as the answer's time allows",
    arguments: [
      (0.2, 0.1, Finding.State.ok), (-4.9, 0, .ok), (-5.5, 0, .wrong), (6, 2, .ok),
      (3600, 2, .wrong),
    ])
  func clock(offset: Double, uncertainty: Double, state: Finding.State) {
    let finding = ClockCheck.finding(against: "prod", offset: offset, uncertainty: uncertainty)
    #expect(finding.state == state)
    if state == .wrong { #expect(finding.what.contains(offset < 0 ? "behind" : "ahead")) }
  }

  @Test("A mount in which the kernel reads little ahead is named")
  func readAhead() throws {
    let line = "40 25 0:44 / /mnt/image ro - fuse.floe ssh://prod/image ro,user_id=0"
    let mount = try #require(MountEntry(line: Array(line.utf8)))
    for (kibibytes, isNamed) in [("128", true), ("4096", false)] {
      let host = try RecordedHost(["/sys/class/bdi/0:44/read_ahead_kb": kibibytes])
      #expect((MountReadAhead.finding(for: mount, host.files) != nil) == isNamed)
    }
    #expect(MountReadAhead.finding(for: mount, try RecordedHost([:]).files) == nil)
  }
}
