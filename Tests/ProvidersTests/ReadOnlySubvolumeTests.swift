import FrozenImage
import Glibc
import HostSystem
import Testing

@testable import BtrfsProvider

/// Read-only subvolumes, which need not be at rest.
extension BtrfsTests {
  @Suite("btrfs read-only subvolumes") struct ReadOnlySubvolumeTests {
    private func reason(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "no error"
      } catch {
        return "\(error)"
      }
    }

    /// A volume with a subvolume "ro" that holds a nodatacow file of letters "a".
    private func volume() throws -> LoopVolume {
      let volume = try LoopVolume()
      try shell(
        """
        cd \(volume.mount); btrfs -q subvolume create ro; : > ro/f; chattr +C ro/f
        head -c 65536 /dev/zero | tr '\\0' a > ro/f; btrfs filesystem sync .
        """)
      return volume
    }

    /// btrfs sets the flag although a program has the file open, and the program goes on
    /// to write, in place.
    @Test func whoHasAFileOpenDoesNotWriteIntoTheImage() throws {
      let volume = try volume()
      let writer = open(volume.path("ro/f"), O_RDWR | O_CLOEXEC)
      defer { close(writer) }
      try shell("btrfs property set -ts \(volume.path("ro")) ro true")
      let image = try DescribedImage(volume.path("ro"))
      #expect(image.frozen.ownsSnapshot)
      #expect(image.frozen.snapshotPath == volume.path(".floe/\(image.id)"))

      let new = [UInt8](repeating: UInt8(ascii: "b"), count: 65536)
      try #require(pwrite(writer, new, new.count, 0) == new.count)
      try #require(fsync(writer) == 0)
      let file = try #require(try image.files().first)
      #expect(try contents(of: Array(volume.path("ro/f").utf8)) == new)
      #expect(
        try image.contents(of: file) == [UInt8](repeating: UInt8(ascii: "a"), count: 65536))
      try image.source.liveCheck()
      try expectAllBytes(of: image, on: volume)
      try BtrfsFreezer.thaw(image.frozen)
      #expect(access(volume.path("ro/f"), F_OK) == 0)
    }

    @Test func whereTheFileSystemIsReadOnlyTheSubvolumeIsTakenAsItIs() throws {
      let volume = try volume()
      try shell("cd \(volume.mount); btrfs -q subvolume snapshot ro rw")
      try shell("btrfs property set -ts \(volume.path("ro")) ro true")
      try shell("mount -o remount,ro \(volume.mount)")
      let image = try DescribedImage(volume.path("ro"))
      #expect(image.frozen.snapshotPath == volume.path("ro"))
      #expect(!image.frozen.ownsSnapshot)
      try expectAllBytes(of: image, on: volume)
      try BtrfsFreezer.thaw(image.frozen)
      #expect(access(volume.path("ro/f"), F_OK) == 0)
      #expect(
        reason { _ = try BtrfsFreezer(path: volume.path("rw")) }.contains("mounted read-only"))
    }

    /// Another mount of the file system may be written to.
    @Test func aReadOnlyMountOfAFileSystemThatIsWrittenIsRefused() throws {
      let volume = try volume()
      try shell("btrfs property set -ts \(volume.path("ro")) ro true")
      let view = volume.directory + "/view"
      try shell("mkdir \(view); mount --bind -o ro \(volume.mount) \(view)")
      defer { _ = try? shell("umount \(view)") }
      let freezer = try BtrfsFreezer(path: view + "/ro")
      let why = reason { _ = try freezer.freeze(as: .random()) }
      #expect(
        why.contains("no snapshot of \(view)/ro can be made")
          && why.contains("Read-only file system"))
    }

    @Test func aSubvolumeWithAnActiveSwapFileIsRefused() throws {
      let volume = try volume()
      let swap = volume.path("ro/swap")
      try shell(
        """
        : > \(swap); chattr +C \(swap); chmod 600 \(swap)
        dd if=/dev/zero of=\(swap) bs=1M count=8 status=none
        mkswap -q \(swap); swapon \(swap)
        btrfs property set -ts \(volume.path("ro")) ro true
        """)
      defer { _ = try? shell("swapoff \(swap)") }
      let freezer = try BtrfsFreezer(path: volume.path("ro"))
      let why = reason { _ = try freezer.freeze(as: .random()) }
      #expect(why.contains("a swap file in it is in use"), "\(why)")
      #expect(try shell("btrfs subvolume list \(volume.mount) | wc -l").trimmed == "1")
    }

    /// The guard thaws what floe froze, never what somebody else keeps frozen.
    @Test func somebodyElsesFreezeIsLeftAlone() throws {
      let volume = try LoopVolume()
      let directory = open(volume.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      defer { close(directory) }
      let barrier = WriterBarrier(program: floeProgram, patience: 0)
      try barrier.pass(directory, path: volume.mount)
      try shell("fsfreeze --freeze \(volume.mount)")
      let why = reason { try barrier.pass(directory, path: volume.mount) }
      // Only what is frozen can be thawed.
      try shell("fsfreeze --unfreeze \(volume.mount)")
      #expect(why.contains("somebody else keeps the file system of \(volume.mount) frozen"))
      try shell("touch \(volume.path("f"))")
    }

    @Test func withoutAGuardNothingIsFrozen() throws {
      let volume = try volume()
      let freezer = try BtrfsFreezer(
        path: volume.path("ro"), barrier: WriterBarrier(program: "/nonexistent"))
      #expect(reason { _ = try freezer.freeze(as: .random()) }.contains("is not frozen, as"))
      try shell("touch \(volume.path("f"))")
      #expect(try shell("btrfs subvolume list \(volume.mount) | wc -l").trimmed == "1")
    }
  }
}
