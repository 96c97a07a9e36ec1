import Glibc
import TestTags
import Testing

@testable import StackProvider
@testable import VolumeLayers

/// qcow2 images where disks are: on devices, partitions and logical volumes.
@Suite(
  "Formats on block devices", .tags(.needsRoot, .needsLoopDevices), .serialized,
  .enabled(if: ImageTools.suffice("qemu-img losetup mkfs.ext4 sfdisk partx", root: true)))
struct DiskFormatTests {
  let files: ImageFiles

  init() throws {
    files = try ImageFiles()
    try files.run(
      """
      truncate -s 24M fs; mkfs.ext4 -q -L inside fs
      qemu-img convert -f raw -O qcow2 fs packed; truncate -s 40M dev
      dd if=packed of=dev conv=notrunc status=none
      """)
  }

  private func find(
    _ path: String, _ format: StackPlace.ImageFormat? = nil, assumesFrozen: Bool = false
  ) throws -> FoundStack {
    try StackFinder(
      StackPlace(
        start: .path(path), selectors: [], physicalVolumes: [], format: format,
        assumesFrozen: assumesFrozen)
    ).find()
  }

  private func expectImage(on device: String, size: UInt64) throws {
    for sentence in [
      refusal { _ = try find(device) }, refusal { _ = try find(device, assumesFrozen: true) },
    ] {
      #expect(sentence.contains("\(device) begins as a qcow2 image does"), "\(sentence)")
      #expect(sentence.contains("--format qcow2") && sentence.contains("--format raw"))
    }
    let found = try find(device, .qcow2)
    #expect(found.content?.label == "inside")
    let bytes = try files.bytes("fs")
    #expect(try found.stack.top.bytes(at: 0, count: bytes.count) == bytes)
    let raw = try find(device, .raw, assumesFrozen: true)
    #expect(raw.content == nil && raw.stack.top.size == size)
    // Nothing of it is believed where nobody says so.
    #expect(try StackFinder.layer(ofDevice: device).size == size)
  }

  @Test func wholeDevice() throws {
    let device = try files.run("losetup -f --show dev").trimmed
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    try expectImage(on: device, size: 40 << 20)
  }

  @Test func partition() throws {
    try files.run(
      """
      truncate -s 64M disk; printf 'label: gpt\\nsize=1MiB\\nsize=40MiB\\n' | sfdisk -q disk
      dd if=dev of=disk bs=1M seek=2 conv=notrunc status=none
      """)
    let disk = try files.run("losetup -f --show disk").trimmed
    defer { _ = try? shell("partx -d \(disk) || true; losetup -d \(disk)", ignoringFailure: true) }
    try shell("partx -a \(disk) || partx -u \(disk)")
    try expectImage(on: "\(disk)p2", size: 40 << 20)
    // Above a partition of a disk image nobody looks for one.
    let place = StackPlace(
      start: .path(files.path("disk")), selectors: ["2"], physicalVolumes: [],
      assumesFrozen: false)
    #expect(
      refusal { _ = try StackFinder(place).find() }.contains("a qcow2 image in a place where none"))
  }

  @Test func rawDeviceIsNoImage() throws {
    let device = try files.run("losetup -f --show fs").trimmed
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    #expect(refusal { _ = try find(device, .qcow2) } == "\(device) is no qcow2 image")
    #expect(try find(device).content?.label == "inside")
    #expect(try find(device, .raw).content?.label == "inside")
  }

  /// A device has no directory of its own, and /dev is nobody's.
  @Test func backingFilesOfADeviceHaveToBeNamed() throws {
    try files.run(
      """
      qemu-img create -q -u -f qcow2 -b \(files.path("fs")) -F raw top 24M
      dd if=top of=dev bs=1M conv=notrunc status=none; truncate -s 40M padded
      dd if=top of=padded bs=1M seek=4 conv=notrunc status=none
      """)
    let device = try files.run("losetup -f --show -o 4M padded").trimmed
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    #expect(refusal { _ = try find(device, .qcow2) }.contains("which was not named"))
    let place = StackPlace(
      start: .path(device), selectors: [], physicalVolumes: [], format: .qcow2,
      backing: [files.path("fs")], assumesFrozen: false)
    #expect(try StackFinder(place).find().content?.label == "inside")
  }

  @Test func deviceAsBackingFileHasToBeNamed() throws {
    let device = try files.run("losetup -f --show fs").trimmed
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    try files.run("qemu-img create -q -u -f qcow2 -b \(device) -F raw top.qcow2 24M")
    func place(_ backing: [String]) -> StackPlace {
      StackPlace(
        start: .path(files.path("top.qcow2")), selectors: [], physicalVolumes: [],
        backing: backing, assumesFrozen: false)
    }
    #expect(
      refusal { _ = try StackFinder(place([])).find() }.contains("so say --backing \(device) if"))
    let found = try StackFinder(place([device])).find()
    #expect(found.content?.label == "inside")
    // What is below the device counts, as for a device that is named itself.
    #expect(found.pins == ["file \(files.path("top.qcow2"))", "file \(files.path("fs"))"])
  }
}

extension LVMTests {
  @Suite("qcow2 on a logical volume", .enabled(if: ImageTools.suffice("qemu-img mkfs.ext4")))
  struct ImageOnVolumeTests {
    @Test func isReadWhenTheUserSaysSo() throws {
      let files = try ImageFiles()
      try files.run(
        "truncate -s 3M fs; mkfs.ext4 -q -L inside fs; qemu-img convert -f raw -O qcow2 fs packed")
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("lv", "-L 4m vg")
      func find(_ format: StackPlace.ImageFormat?) throws -> FoundStack {
        try StackFinder(
          StackPlace(
            start: .volumeGroup("vg"), selectors: ["lv"], physicalVolumes: disks.devices,
            format: format, assumesFrozen: format == .raw)
        ).find()
      }
      let base = try #require(try find(.raw).stack.top.base)
      try write(files.bytes("packed"), to: disks.images[0], at: Int(base.offset))
      #expect(refusal { _ = try find(nil) }.contains("logical volume vg/lv begins as a qcow2"))
      #expect(try find(.qcow2).content?.label == "inside")
      #expect(try find(.raw).content == nil)
    }
  }
}
