import HostSystem
import Testing

@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  /// A host that sees each disk on two paths and as a multipath map. There is no
  /// device-mapper to make one here: three loop devices show one file, and what sysfs
  /// would show of them is written by hand.
  @Suite("LVM2 on multipath maps") struct MultipathTests {
    /// Shows the devices, and holds all but the last one by that.
    private func show(_ devices: [String], heldIn tree: String) throws {
      try shell(
        """
        mkdir -p \(tree)/class/block \(tree)/dev/block; cd \(tree)
        for d in \(devices.joined(separator: " ")); do n=${d##*/}; mkdir -p disks/$n/holders
        ln -s ../../disks/$n class/block/$n
        ln -s ../../disks/$n dev/block/$(cat /sys/class/block/$n/dev); done
        """)
      guard let map = devices.last?.split(separator: "/").last else { return }
      try shell("cd \(tree)/disks; mkdir \(map)/dm; echo mpath-3600a0980383030 > \(map)/dm/uuid")
      for path in devices.dropLast() {
        try shell(
          "cd \(tree)/disks; ln -s ../../\(map) \(path.split(separator: "/").last ?? "")/holders/\(map)"
        )
      }
    }

    @Test func aMapIsTakenInsteadOfItsPaths() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 4 vg")
      var devices = disks.devices
      defer {
        for device in devices.dropFirst() {
          _ = try? shell("losetup -d \(device)", ignoringFailure: true)
        }
      }
      for _ in 0..<2 {
        devices.append(try shell("losetup -f --show \(disks.images[0])").trimmed)
      }
      let tree = disks.directory + "/sys"
      try show(devices, heldIn: tree)
      let place = StackPlace(
        start: .volumeGroup("vg"), selectors: ["root"], physicalVolumes: [], assumesFrozen: true)
      let found = try StackFinder(place, sysfs: Sysfs(root: tree)).find()
      #expect(found.stack.layers.last?.title == devices[2])
      // Without the map they are clones.
      try shell("rm \(tree)/disks/*/holders/*")
      let sentence = refusal { _ = try StackFinder(place, sysfs: Sysfs(root: tree)).find() }
      #expect(sentence.contains(devices[0]) && sentence.contains(devices[1]))
    }

    /// A physical volume on a partition is met on the disk, and is a device of its own.
    @Test func aPartitionIsTheSamePlaceAsItsDevice() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 4 vg")
      let image = "\(disks.directory)/table"
      try shell(
        """
        truncate -s 12M \(image); echo 'start=2048,size=16384' | sfdisk -q -X gpt \(image)
        dd if=\(disks.images[0]) of=\(image) bs=1M seek=1 conv=notrunc status=none
        """)
      let device = try shell("losetup -f --show \(image)").trimmed
      defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
      let part = try shell("losetup -f --show -o 1M --sizelimit 8M \(image)").trimmed
      defer { _ = try? shell("losetup -d \(part)", ignoringFailure: true) }
      for (start, selectors) in [(device, ["1", "root"]), (part, ["root"])] {
        let place = StackPlace(
          start: .path(start), selectors: selectors, physicalVolumes: [part], assumesFrozen: true)
        let found = try StackFinder(place).find()
        #expect(found.stack.layers.last?.title == image)
      }
    }

    @Test func aNamedPathLeadsToItsMap() throws {
      let disks = try LVMDisks(2)
      let tree = disks.directory + "/sys"
      try show(disks.devices, heldIn: tree)
      let place = StackPlace(
        start: .path(disks.devices[0]), selectors: [], physicalVolumes: [], assumesFrozen: true)
      let found = try StackFinder(place, sysfs: Sysfs(root: tree)).find()
      #expect(found.stack.layers.map(\.title) == [disks.images[1]])
    }
  }
}
