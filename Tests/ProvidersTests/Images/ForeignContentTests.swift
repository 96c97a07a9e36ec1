import Glibc
import TestTags
import Testing

@testable import StackProvider

/// What is recognised but not read is named, with what to do; a raw volume is offered only
/// where it can be right.
@Suite(
  "What floe does not read", .serialized,
  .enabled(if: ImageTools.suffice("qemu-img mkfs.xfs mkswap sfdisk gzip")))
struct ForeignContentTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  private func sentence(_ path: String, _ selectors: [String] = []) -> String {
    refusal {
      _ = try StackFinder(
        StackPlace(
          start: .path(path), selectors: selectors, physicalVolumes: [], assumesFrozen: false)
      ).find()
    }
  }

  @Test(arguments: [
    ("vmdk", "", "a VMDK image", "vmdk"), ("vmdk", "-o subformat=monolithicFlat", "a VMDK", "vmdk"),
    ("vhdx", "", "a VHDX image", "vhdx"), ("vdi", "", "a VDI image", "vdi"),
    ("vpc", "", "a VHD image", "vpc"), ("qed", "", "a QED image", "qed"),
    ("parallels", "", "a Parallels image", "parallels"),
  ])
  func diskImages(_ format: String, _ options: String, _ name: String, _ qemu: String) throws {
    try files.run(
      """
      truncate -s 8M raw; printf 'label: gpt\\nsize=1MiB\\n' | sfdisk -q raw
      qemu-img convert -f raw -O \(format) \(options) raw disk
      """)
    for selectors in [[], ["1"]] {
      let sentence = sentence(files.path("disk"), selectors)
      #expect(sentence.contains("\(files.path("disk")) is \(name)"), "\(sentence)")
      #expect(sentence.contains("qemu-img convert -f \(qemu) -O qcow2"), "\(sentence)")
      #expect(!sentence.contains("assume-frozen"))
    }
    // As it says.
    try files.run("qemu-img convert -f \(qemu) -O qcow2 disk new.qcow2")
    let found = sentence(files.path("new.qcow2"), ["1"])
    #expect(found.contains("holds nothing that floe knows"), "\(found)")
  }

  @Test func compressedFile() throws {
    try files.run("truncate -s 8M raw; gzip raw")
    let sentence = sentence(files.path("raw.gz"))
    #expect(sentence == "\(files.path("raw.gz")) is compressed with gzip: unpack it first")
  }

  @Test func fileSystemsInside() throws {
    try files.run(
      """
      truncate -s 400M disk; printf 'label: gpt\\nsize=320MiB\\nsize=16MiB\\n' | sfdisk -q disk
      truncate -s 320M xfs; mkfs.xfs -q xfs; dd if=xfs of=disk bs=1M seek=1 conv=notrunc,sparse status=none
      truncate -s 16M swap; mkswap -q swap; dd if=swap of=disk bs=1M seek=321 conv=notrunc status=none
      """)
    let xfs = sentence(files.path("disk"), ["1"])
    #expect(xfs.contains("partition 1 (GPT) holds an XFS file system"), "\(xfs)")
    #expect(xfs.contains("mount it, and freeze a directory") && xfs.contains("--assume-frozen"))
    let swap = sentence(files.path("disk"), ["2"])
    #expect(swap.contains("partition 2 (GPT) holds swap space"), "\(swap)")
    #expect(!swap.contains("assume-frozen"))
  }

  @Test func membersOfPools() throws {

    let cases: [(String, String)] = [
      ("linux_raid_member", "freeze the array's own device"),
      ("zfs_member", "zfs send"), ("crypto_LUKS", "cryptsetup"),
      ("LVM1_member", "vgconvert"), ("isw_raid_member", "freeze the device"),
    ]
    for (type, advice) in cases {
      let content = ForeignContent(type: type)
      #expect(content.advice.contains(advice))
      #expect(content.isWholeByItself == (type == "crypto_LUKS"))
    }
    try files.run("truncate -s 320M disk")
    let label = [UInt64](arrayLiteral: 0x00BA_B10C, 28, 1).map(\.littleEndian)
    for index in 0..<16 {
      try files.overwrite(
        label.withUnsafeBytes { Array($0) }, of: "disk", at: (128 << 10) + index * 1024)
    }
    let sentence = sentence(files.path("disk"))
    #expect(sentence.contains("is a member of a ZFS pool"), "\(sentence)")
    #expect(!sentence.contains("assume-frozen"))
  }

  @Test(
    .tags(.needsRoot, .needsLoopDevices),
    .enabled(if: ImageTools.suffice("losetup mount mkfs.btrfs", root: true)))
  func mountedDevices() throws {
    try files.run("mkdir mnt")
    for (format, advice) in [
      ("mkfs.xfs -q -f", "freeze that directory"), ("mkfs.btrfs -q -f", "freeze a subvolume of it"),
    ] {
      try files.run("rm -f disk; truncate -s 320M disk; \(format) disk")
      let device = try files.run("losetup -f --show disk").trimmed
      defer {
        _ = try? shell(
          "umount \(files.path("mnt")) || true; losetup -d \(device)",
          ignoringFailure: true)
      }
      #expect(sentence(device).contains("--assume-frozen takes it as a raw volume"))
      try files.run("mount \(device) mnt")
      let mounted = sentence(device)
      #expect(mounted.contains("is mounted at \(files.path("mnt"))"), "\(mounted)")
      #expect(mounted.contains(advice) && !mounted.contains("assume-frozen"), "\(mounted)")
      // The file below is the same.
      #expect(sentence(files.path("disk")) == mounted)
    }
  }
}
