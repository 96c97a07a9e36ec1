import FrozenImage
import Glibc
import Media
import Testing

@testable import BtrfsProvider

/// Volumes that the kernel mounts without all of their devices, or with a device of
/// another volume.
extension BtrfsTests {
  @Suite("btrfs missing and foreign devices") struct MissingDeviceTests {
    @Test func aVolumeWithoutOneOfItsDevicesIsDescribedWithANote() throws {
      let volume = try LoopVolume(devices: 2, format: "-d raid1 -m raid1", mounting: "degraded")
      try shell(
        """
        btrfs -q subvolume create \(volume.path("s")); head -c 3M /dev/urandom > \(volume.path("s/a"))
        """)
      #expect(try BtrfsFreezer(path: volume.path("s")).notes() == [])
      try shell(
        """
        umount \(volume.mount); losetup -d \(volume.devices[1]); btrfs device scan --forget
        btrfs device scan \(volume.devices[0])
        mount -t btrfs -o degraded \(volume.devices[0]) \(volume.mount)
        """)
      let notes = try BtrfsFreezer(path: volume.path("s")).notes()
      #expect(notes.count == 1 && notes[0].contains("device 2 of the btrfs"))
      #expect(notes[0].contains("is missing"))
      let image = try DescribedImage(volume.path("s"))
      #expect(image.volume.media.count == 2)
      #expect(image.volume.state.configurationID.entries.count == 1)
    }

    /// A sprout: a volume that was grown from a seed, which stays as it is.
    @Test func aSproutIsReadFromItsSeedAsWell() throws {
      let volume = try LoopVolume()
      try shell(
        """
        btrfs -q subvolume create \(volume.path("s")); head -c 3M /dev/urandom > \(volume.path("s/a"))
        umount \(volume.mount); btrfstune -S 1 \(volume.devices[0])
        mount -t btrfs \(volume.devices[0]) \(volume.mount)
        """)
      let new = try volume.addDevice(1, "512M")
      try shell(
        """
        btrfs -q device add -f \(new) \(volume.mount); mount -o remount,rw \(volume.mount)
        head -c 3M /dev/urandom > \(volume.path("s/b")); btrfs filesystem sync \(volume.mount)
        """)
      #expect(try BtrfsFreezer(path: volume.path("s")).notes() == [])
      let image = try DescribedImage(volume.path("s"))
      #expect(image.volume.media.count == 2)
      #expect(image.volume.state.configurationID.entries.count == 2)
      for medium in image.volume.media {
        try OpenMedium(path: medium.path).verifyIdentity(of: medium)
      }
      try expectAllBytes(of: image, on: volume)

      // The sprout goes on, its seed does not: neither is behind.
      try shell("touch \(volume.path("c")); btrfs filesystem sync \(volume.mount)")
      let later = try image.source.answer(image.question(since: image.volume.state))
      #expect(later.behind == [] && later.changes == .ranges([]))
      #expect(later.state.configurationID != image.volume.state.configurationID)
      let again = try image.source.answer(image.question(since: later.state))
      #expect(again.behind == [] && again.volume == nil)

      // A seed that is made a volume of its own again may be written to.
      let seed = try #require(
        image.volume.media.map(\.id).first { id in
          image.volume.state.configurationID[id] == later.state.configurationID[id]
        })
      try shell("btrfs -q device remove \(volume.devices[0]) \(volume.mount)")
      let without = try image.source.answer(image.question(since: later.state))
      #expect(without.behind.contains(seed))
      #expect(without.volume?.media.map(\.id).contains(seed) == false)
    }
  }
}
