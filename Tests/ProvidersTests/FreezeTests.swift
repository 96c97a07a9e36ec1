import FrozenImage
import Glibc
import ImageReader
import Testing

@testable import BtrfsProvider

/// Freezing, thawing and the conversation of errors.
extension BtrfsTests {
  @Suite("btrfs freeze") struct FreezeTests {
    private func reason(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "no error"
      } catch {
        return "\(error)"
      }
    }

    @Test func refusesWhatIsNoSubvolume() throws {
      let volume = try LoopVolume()
      try shell("mkdir \(volume.path("d")); : > \(volume.path("f"))")
      #expect(
        reason { _ = try BtrfsFreezer(path: "/proc") } == "/proc is not on a btrfs file system")
      #expect(
        reason { _ = try BtrfsFreezer(path: volume.path("d")) }
          == "\(volume.path("d")) is a directory in the btrfs subvolume \(volume.mount), and btrfs "
          + "freezes whole subvolumes: freeze \(volume.mount)")
      try shell(
        "btrfs -q subvolume create \(volume.path("d/s")); mkdir -p \(volume.path("d/s/a/b"))")
      #expect(
        reason { _ = try BtrfsFreezer(path: volume.path("d/s/a/b")) }
          .hasSuffix("freeze \(volume.path("d/s"))"))
      #expect(
        reason { _ = try BtrfsFreezer(path: volume.path("f")) }
          == "cannot open \(volume.path("f")): Not a directory")
      #expect(
        reason { _ = try BtrfsFreezer(path: volume.path("gone")) }
          == "cannot open \(volume.path("gone")): No such file or directory")
    }

    @Test func refusesParityByName() throws {
      let volume = try LoopVolume(devices: 3, format: "-d raid5 -m raid1")
      try shell(
        "btrfs -q subvolume create \(volume.path("s")); echo x > \(volume.path("s"))/f; sync")
      #expect(reason { _ = try BtrfsFreezer(path: volume.path("s")) }.contains("RAID5"))
    }

    @Test func namesUnknownFeatures() {
      #expect(IncompatibleFeatures.unknown(in: IncompatibleFeatures.known).isEmpty)
      #expect(
        IncompatibleFeatures.unknown(in: 1 << 12 | 1 << 14 | 1 << 40)
          == ["zoned", "RAID stripe tree", "bit 40"])
    }

    /// Somebody else made the directory, or a link, that floe would make snapshots in.
    @Test(arguments: [
      ("mkdir .floe; chmod 777 .floe", "others than its owner may write to"),
      ("mkdir .floe; chmod 770 .floe", "others than its owner may write to"),
      ("mkdir .floe; chown 4711 .floe; chmod 700 .floe", "belongs to the user 4711"),
      ("mkdir d; chmod 700 d; ln -s d .floe", "is no directory"),
      (": > .floe", "is no directory"),
    ])
    func makesNoSnapshotInWhatIsOfOthers(_ making: String, _ sentence: String) throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s")); cd \(volume.path("")); \(making)")
      let freezer = try BtrfsFreezer(path: volume.path("s"))
      let why = reason { _ = try freezer.freeze(as: .random()) }
      #expect(why.contains(sentence) && why.contains(volume.path(".floe")))
      let made = try shell("btrfs subvolume list \(volume.path("")) | wc -l").trimmed
      #expect(made == "1")
    }

    @Test func makesTheSnapshotBesideAndDeletesIt() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s")); echo x > \(volume.path("s"))/f")
      let image = try DescribedImage(volume.path("s"))
      #expect(image.frozen.snapshotPath == volume.path(".floe/\(image.id)"))
      #expect(image.frozen.ownsSnapshot)
      #expect(try shell("stat -c %a \(volume.path(".floe"))").trimmed == "700")
      // It is found by its ID, wherever it is, while it is served too.
      try shell("mv \(volume.path(".floe")) \(volume.path("elsewhere"))")
      try image.source.liveCheck()
      let representation = image.representation
      try BtrfsSource(image.frozen) { representation }.liveCheck()
      try BtrfsFreezer.thaw(image.frozen)
      #expect(access(volume.path("elsewhere/\(image.id)"), F_OK) != 0)
      #expect(throws: SourceError.self) { try image.source.liveCheck() }
      try BtrfsFreezer.thaw(image.frozen)
      #expect(
        reason { _ = try BtrfsSource(image.frozen) { representation } }.contains("deleted"))
    }

    @Test func putsTheSnapshotInsideWhenThereIsNoBeside() throws {
      let volume = try LoopVolume()
      let image = try DescribedImage(volume.mount)
      #expect(image.frozen.snapshotPath == volume.path(".floe/\(image.id)"))
      try expectAllBytes(of: image, on: volume)
    }

    @Test func deletesThePlannedSnapshotOfAFreezeThatBroke() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s"))")
      let freezer = try BtrfsFreezer(path: volume.path("s"))
      let id = UniqueIdentifier.random()
      let path = try #require(freezer.plannedSnapshotPath(for: id))
      try BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: freezer.fileSystemID)
      _ = try freezer.freeze(as: id)
      try BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: freezer.fileSystemID)
      #expect(access(path, F_OK) != 0)
      #expect(throws: BtrfsError.self) {
        try BtrfsFreezer.thaw(snapshotAt: volume.path("s"), onFileSystem: freezer.fileSystemID)
      }
    }

    /// btrfs gives the highest ID again when its subvolume was deleted and the file
    /// system was mounted anew.
    @Test func leavesASubvolumeAloneThatGotTheSnapshotsID() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s")); echo x > \(volume.path("s"))/f")
      let frozen = try BtrfsFreezer(path: volume.path("s")).freeze(as: .random())
      try shell(
        """
        btrfs -q subvolume delete -c \(frozen.snapshotPath)
        btrfs -q subvolume sync \(volume.mount)
        """)
      try volume.unmounted {}
      try shell(
        """
        btrfs -q subvolume snapshot -r \(volume.path("s")) \(volume.path("mine"))
        """)
      let mine = try OpenSubvolume(path: volume.path("mine")).info()
      try #require(mine.id == frozen.subvolumeID)
      #expect(mine.uuid.description != frozen.subvolumeUUID)
      let reason = reason {
        _ = try BtrfsSource(frozen) { throw CommandError(description: "not asked for") }
      }
      #expect(reason.contains("no longer frozen") && reason.contains("another subvolume's"))
      try BtrfsFreezer.thaw(frozen)
      #expect(access(volume.path("mine/f"), F_OK) == 0)
      #expect(try OpenSubvolume(path: volume.path("mine")).info() == mine)
    }

    @Test func keepsThePlannedSnapshotOfAFileSystemThatIsNotMounted() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s"))")
      let id = UniqueIdentifier.random()
      let frozen = try BtrfsFreezer(path: volume.path("s")).freeze(as: id)
      let (path, fileSystem) = (frozen.snapshotPath, frozen.fileSystemID)
      try volume.unmounted {
        let thaw = { try BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: fileSystem) }
        #expect(reason(thaw).hasSuffix("the btrfs \(fileSystem) is not mounted there"))
        // A directory of that name on what is mounted there instead says nothing either.
        try shell("mkdir \(volume.path(".floe"))")
        #expect(reason(thaw).hasSuffix("the btrfs \(fileSystem) is not mounted there"))
      }
      #expect(access(path, F_OK) == 0)
      try BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: fileSystem)
      #expect(access(path, F_OK) != 0)
      // Its directory is gone now as well.
      try BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: fileSystem)
    }

    @Test func saysThatTheFileSystemIsNotMounted() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("s"))")
      let frozen = try BtrfsFreezer(path: volume.path("s")).freeze(as: .random())
      try shell("umount \(volume.mount)")
      let reason = reason {
        _ = try BtrfsSource(frozen) { throw CommandError(description: "not asked for") }
      }
      #expect(reason.contains("not mounted"))
      #expect(self.reason { try BtrfsFreezer.thaw(frozen) }.contains("not mounted"))
    }
  }
}
