import HostSystem
import Testing

@testable import HostChecks

/// Whether this host leaves media alone, as recorded trees and real answers of lvm2 show it.
@Suite("Whether a host is a bystander")
struct BystanderTests {
  private func findings(
    _ host: RecordedHost, _ device: String, mounts lines: [String] = []
  ) -> [Finding] {
    let check = BystanderCheck(
      host.files, mounts: lines.compactMap { MountEntry(line: Array($0.utf8)) }, isRoot: true)
    let tree = BlockDeviceTree(files: host.files)
    return check.inUse(tree.faces(of: device), of: "/dev/\(device)")
  }

  @Test("A multipath map and its partition are the disk itself, and no use of it")
  func paths() throws {
    let host = try RecordedHost.storage()
    #expect(
      Set(BlockDeviceTree(files: host.files).faces(of: "sda")) == ["sda", "sda1", "dm-0", "dm-1"])
    for device in ["sda", "sdb", "sde"] { #expect(findings(host, device).isEmpty) }
  }

  @Test("An active logical volume is found through partition and multipath, by its group's name")
  func activeVolume() throws {
    let host = try RecordedHost.storage(RecordedHost.activeVolume)
    for device in ["sda", "sdb"] {
      let found = findings(host, device)
      #expect(found.map(\.state) == [.wrong])
      #expect(found[0].what.contains("logical volume vg--a-root"))
      #expect(found[0].advice?.contains("vgchange -an vg-a,") ?? false)
    }
  }

  @Test("What lies on an active volume counts: its mount, and swap on it")
  func above() throws {
    let host = try RecordedHost.storage(
      RecordedHost.activeVolume.merging([
        "/proc/swaps": "Filename Type Size Used Priority\n/dev/dm-2 partition 100 0 -2\n"
      ]) { $1 })
    let mount = "36 25 253:2 / /srv/my\\040data rw - ext4 /dev/mapper/vg--a-root rw"
    let found = findings(host, "sdb", mounts: [mount])
    #expect(found.count == 3)
    #expect(found.contains { $0.what.hasSuffix("mounted on /srv/my data") })
    #expect(found.contains { $0.advice?.contains("umount '/srv/my data'") ?? false })
    #expect(found.contains { $0.what.contains("swaps") })
  }

  @Test("An assembled array, and a btrfs whose mount names another of its devices")
  func others() throws {
    let host = try RecordedHost.storage()
    #expect(
      findings(host, "sdc").map(\.what) == ["this host has assembled the md array md0 from it"])
    let mount = "40 25 0:44 /data /srv rw - btrfs /dev/sdz rw"
    #expect(
      findings(host, "sdd", mounts: [mount]).map(\.what) == ["this host has it mounted on /srv"])
    #expect(findings(host, "sde", mounts: [mount]).isEmpty)
    #expect(BlockDeviceTree(files: host.files).loops(over: "/srv/disk image") == ["loop0"])
  }

  @Test(
    "A map's name gives its group, with its dashes",
    arguments: [
      ("vg-lv", "vg"), ("vg--a-root", "vg-a"), ("a----b-c--d", "a--b"), ("vg-lv_rimage_0", "vg"),
    ])
  func groups(name: String, group: String) { #expect(DeviceUses.group(ofMap: name) == group) }

  /// Answers of lvm2 2.03.16.
  @Test(
    "What lvm2 says it does with a device",
    arguments: [
      ("  /dev/sda|vg||enabled|", "", "", LVMView.Handling.activated(group: "vg")),
      (
        "  WARNING: Activation disabled.\n  /dev/sda|vg|prod|enabled|", "", "  system ID: prod",
        .activated(group: "vg")
      ),
      (
        "  /dev/sda|vg|prod|enabled|", "", "  system ID: ",
        .seen(group: "vg", why: "it belongs to the host with the system ID prod")
      ),
      (
        "  /dev/sda|vg|||", "", "",
        .seen(group: "vg", why: "the group says so (vgchange --setautoactivation n)")
      ),
      (
        "  /dev/sda|vg||enabled|", "auto_activation_volume_list=[]", "",
        .seen(group: "vg", why: "auto_activation_volume_list of lvm.conf does not have it")
      ),
      (
        "  /dev/sda|vg||enabled|", "auto_activation_volume_list=[\"other\",\"vg/root\"]", "",
        .activated(group: "vg")
      ),
      (
        "  /dev/sda|vg||enabled|a,mine", "auto_activation_volume_list=\"@mine\"", "",
        .activated(group: "vg")
      ),
      ("  Cannot use /dev/sda: device is rejected by filter config", "", "", .ignored),
      ("  Cannot use /dev/sda: device is not in devices file", "", "", .ignored),
      ("  /dev/sda||||", "", "", .unused),
      ("  /run/lock/lvm: open failed", "", "", .unknown("/run/lock/lvm: open failed")),
    ])
  func lvm(volume: String, configuration: String, system: String, handling: LVMView.Handling) {
    let view = LVMView(configuration: configuration, system: system, volume: volume)
    #expect(view.handling == handling)
    let state = BystanderCheck.finding(handling, "/dev/sda")?.state
    switch handling {
    case .activated: #expect(state == .wrong)
    case .seen, .unknown: #expect(state == .note)
    case .ignored, .unused: #expect(state == nil)
    }
  }

  @Test(
    "Which arrays mdadm.conf has assembled",
    arguments: [
      ("", ArrayAssembly.Decision.automatic),
      ("# AUTO -all", .automatic),
      ("AUTO -all", .refused),
      ("auto +0.90\n -all", .refused),
      ("AUTO +1.x -all", .automatic),
      ("AUTO homehost -all", .refused),
      ("AUTO -1.x +all", .refused),
      ("AUTO -all\nARRAY /dev/md0 metadata=1.2 UUID=01234567:89abcdef:01234567:89abcdef", .named),
      ("ARR <ignore>\n  uuid=01234567:89ABCDEF:01234567:89abcdef # not ours", .ignored),
      ("AUTO -all\nARRAY /dev/md1 UUID=ffffffff:89abcdef:01234567:89abcdef", .refused),
    ])
  func arrays(text: String, decision: ArrayAssembly.Decision) throws {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef"
    #expect(ArrayAssembly(text: text).decision(for: uuid, version: "1.2") == decision)
    let host = try RecordedHost([
      "/etc/mdadm/mdadm.conf": "MAILADDR root", "/etc/mdadm/mdadm.conf.d/a.conf": text,
    ])
    #expect(ArrayAssembly(host.files).decision(for: uuid, version: "1.2") == decision)
    #expect(
      ArrayAssembly(text: "AUTO +0.90 -all").decision(for: uuid, version: "0.90.0") == .automatic)
  }
}
