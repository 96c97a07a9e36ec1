import HostSystem
import Testing

@Suite struct MountEntryTests {
  @Test func everyFieldIsTakenApart() throws {
    let line = Array(
      #"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=c"#.utf8)
    let mount = try #require(MountEntry(line: line))
    #expect(mount.id == "36" && mount.device == "98:0" && mount.mountpoint == "/mnt2")
    #expect(mount.type == "ext3" && mount.source == "/dev/root")
    #expect(mount.mountOptions == ["rw", "noatime"])
    #expect(mount.superOptions == ["rw", "errors=c"])
    #expect(!mount.isFUSE && mount.fuseUser == nil)
  }

  /// Blanks, tabs, line ends and backslashes stand as octal numbers; a dash may be a name.
  @Test func namesKeepTheirBytes() throws {
    let line =
      Array(#"1 2 0:3 / /a\040b\011c\012d\134e\377 rw - - n\134040 rw"#.utf8)
      + Array(",x".utf8)
    let mount = try #require(MountEntry(line: line))
    #expect(mount.mountpoint == "/a b\tc\nd\\e\u{10FFFF}")
    #expect(mount.type == "-" && mount.source == #"n\040"#)
    let raw = Array("1 2 0:3 / /".utf8) + [0xE9] + Array(" rw - tmpfs none rw".utf8)
    #expect(MountEntry(line: raw)?.mountpoint == "/\u{10FFE9}")
  }

  @Test(arguments: [
    "", "1 2 0:3 / /a rw", "1 2 0:3 / /a rw shared:1", "1 2 0:3 / /a rw - tmpfs none",
  ])
  func anotherLineIsNone(line: String) {
    #expect(MountEntry(line: Array(line.utf8)) == nil)
  }

  @Test(
    arguments: [
      ("fuse", "rw,user_id=1000,group_id=0", 1000), ("fuse.sshfs", "rw,user_id=7,allow_other", 7),
      ("fuseblk", "rw,user_id=0", 0), ("fuse", "rw", nil), ("fuse", "rw,user_id=x", nil),
      ("tmpfs", "rw,user_id=1000", nil), ("fusectl", "rw,user_id=1000", nil),
    ] as [(String, String, UInt32?)])
  func whoMountedFUSE(type: String, options: String, user: UInt32?) throws {
    let line = "1 2 0:3 / /a rw - \(type) none \(options)"
    #expect(try #require(MountEntry(line: Array(line.utf8))).fuseUser == user)
  }

  @Test func thisProcessHasARoot() throws {
    #expect(try MountEntry.all().contains { $0.mountpoint == "/" })
  }
}
