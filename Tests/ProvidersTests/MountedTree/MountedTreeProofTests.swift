import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing

@testable import MountedTreeProvider
@testable import VolumeLayers

/// What is refused, and what the live check and the questions see.
extension MountedTreeTests {
  @Suite("mounted tree: proof") struct ProofTests {
    @Test func refusesOtherFileSystemsByName() throws {
      for (path, type) in [("/proc", "proc"), ("/sys", "sysfs")] {
        #expect(
          reason { _ = try MountedTree(path: path) }
            == "\(path) is on \(type), where the kernel shows its own state: there are no files on any storage to freeze"
        )
      }
      let directory = try shell("mktemp -d /tmp/floe-tmpfs-XXXXXX").trimmed
      defer {
        _ = try? shell(
          "umount -l \(directory)/m \(directory); rmdir \(directory)", ignoringFailure: true)
      }
      try shell("mount -t tmpfs none \(directory)")
      let tmpfs = reason { _ = try MountedTree(path: directory, assumeFrozen: true) }
      #expect(tmpfs.hasPrefix("\(directory) is on tmpfs, which is kept in this host's memory"))
      try shell(
        """
        cd \(directory); mkdir up low work m
        mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work m
        """)
      let overlay = reason { _ = try MountedTree(path: "\(directory)/m", assumeFrozen: true) }
      #expect(overlay.hasPrefix("\(directory)/m is on overlay, which shows directories of other"))
      #expect(overlay.contains("lowerdir=low, upperdir=up"), "\(overlay)")
      let btrfs = try LoopFileSystem("btrfs")
      #expect(
        reason { _ = try MountedTree(path: btrfs.mount, assumeFrozen: true) }.contains("on btrfs;"))
      let file = try LoopFileSystem("ext4")
      try file.run(": > f")
      #expect(
        reason { _ = try MountedTree(path: file.path("f")) }
          == "cannot open \(file.path("f")): Not a directory")
      #expect(reason { _ = try MountedTree(path: file.path("g")) }.contains("No such file"))
    }

    @Test func refusesWhatMayChangeAndSaysWhatToDo() throws {
      for (type, word) in [("ext4", "snapshot"), ("xfs", "reflink copy")] {
        let volume = try LoopFileSystem(type)
        let refused = reason { _ = try MountedTree(path: volume.mount) }
        #expect(
          refused.contains("the \(type) of \(volume.device), which is mounted read-write, so"))
        #expect(refused.contains("--assume-frozen") && refused.contains(word))
        // Read-only is this mount, not what is behind it.
        try shell("mount -o remount,bind,ro \(volume.mount)")
        let hidden = reason { _ = try MountedTree(path: volume.mount) }
        #expect(hidden.contains("only this mount of it is read-only"))
        try shell("mount -o remount,bind,rw \(volume.mount)")
        // A device set read-only afterwards is still written to.
        try shell("blockdev --setro \(volume.device)")
        #expect(reason { _ = try MountedTree(path: volume.mount) }.contains("mounted read-write"))
        try shell("blockdev --setrw \(volume.device)")
        let tree = try MountedTree(path: volume.mount, assumeFrozen: true)
        #expect(tree.image.promise == .assumed && tree.validation == .question)
        #expect(tree.witness.isEmpty && tree.notes.count == 1)
      }
      let journalled = try LoopFileSystem("ext4", mounting: "noatime,data=journal")
      #expect(
        reason { _ = try MountedTree(path: journalled.mount, assumeFrozen: true) }
          .contains("data=journal"))
    }

    /// The superblock of ext4 is written before anything else can be; that of XFS is not.
    @Test func mountingForWritingIsSeen() throws {
      for type in ["ext4", "xfs"] {
        let volume = try LoopFileSystem(type)
        try volume.run("head -c 100000 /dev/urandom > f")
        try volume.remount("ro")
        let image = try FrozenTree(MountedTree(path: volume.mount))
        let state = image.representation.volumes[0].state
        try image.source.liveCheck()
        #expect(try image.stack.configurationID() == state.configurationID)
        #expect(try image.changes(validating: ["f"]).isEmpty)
        try shell("mount -o remount,rw \(volume.mount)")
        #expect(
          try (image.stack.configurationID() == state.configurationID) == (type == "xfs"))
        #expect(reason { try image.source.liveCheck() }.contains("was mounted read-write"))
        #expect(reason { _ = try image.changes(validating: ["f"]) }.contains("no longer frozen"))
        #expect(reason { _ = try MountedTreeSource(image) }.contains("no longer frozen"))
        // Whoever wrote is seen also when it is read-only again.
        try volume.run("printf changed | dd of=f conv=notrunc status=none")
        try volume.remount("ro")
        #expect(reason { try image.source.liveCheck() }.contains("its superblock has changed"))
        var byte: UInt8 = 0
        #expect(
          reason {
            try withUnsafeMutableBytes(of: &byte) {
              _ = try image.source.read(inode: image.inode("f"), offset: 0, into: $0)
            }
          }.contains("its superblock has changed"))
      }
    }

    /// A promise is compared file by file, and only what was changed is lost.
    @Test(arguments: ["ext4", "xfs"])
    func changedFilesAreNamedAndOthersStayReadable(type: String) throws {
      let volume = try LoopFileSystem(type)
      try volume.run(
        """
        for f in quiet written cut grown mode flags deleted replaced punched inplace mapped; do
          head -c 200000 /dev/urandom > $f; done; chattr +i flags; sync -f .
        """)
      let image = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: true))
      let names = [
        "written", "cut", "grown", "mode", "flags", "deleted", "replaced", "punched", "inplace",
        "mapped",
      ]
      #expect(try image.changes(validating: ["quiet"] + names).isEmpty)
      #expect(try image.source.validate(names.map(image.portion)).isEmpty)
      let frozen = try contents(of: Array(volume.path("quiet").utf8))
      try volume.run(
        """
        cp -a written ref; echo x > written; touch -r ref written
        truncate -s 100 cut; echo x >> grown; chmod 4755 mode
        cp -a flags kept; chattr -i flags; dd if=/dev/urandom of=flags bs=200000 count=1 \
          conv=notrunc status=none; touch -r kept flags; chattr +i flags
        rm deleted; cp -a replaced r2; mv r2 replaced
        cp -a punched p2; fallocate -p -o 0 -l 8192 punched
        dd if=p2 of=punched bs=8192 count=1 conv=notrunc status=none; touch -r p2 punched
        printf x | dd of=inplace bs=1 seek=5000 conv=notrunc status=none
        python3 -c '
        import mmap
        with open("mapped", "r+b") as f:
            with mmap.mmap(f.fileno(), 0) as m: m[70000] ^= 1'
        """)
      #expect(try image.changes(validating: ["quiet"] + names) == names)
      // A file stays lost, whatever is done to it; all others are as they were.
      try image.source.liveCheck()
      var bytes = [UInt8](repeating: 0, count: 200000)
      for name in names {
        let reason = reason {
          try bytes.withUnsafeMutableBytes {
            _ = try image.source.read(inode: image.inode(name), offset: 0, into: $0)
          }
        }
        #expect(reason.contains("was changed since it was frozen"), "\(name)")
      }
      let count = try bytes.withUnsafeMutableBytes {
        try image.source.read(inode: image.inode("quiet"), offset: 0, into: $0)
      }
      #expect(count == 200000 && bytes == frozen)
      let asked = try ["quiet", "written"].map(image.portion)
      let located = try image.source.answer(image.question(asked)).located
      #expect(located.map { $0.extents.map(\.extent) }[0] == (try image.extents("quiet")))
      #expect(located[1].extents.map(\.extent.source) == [.encoded])
      // The same after a restart: nothing is remembered, everything is compared.
      let again = try MountedTreeSource(image)
      let ranges = try again.validate((["quiet"] + names).map(image.portion))
      #expect(
        ranges.count == names.count && ranges == ranges.sorted { $0.lowerBound < $1.lowerBound })
    }

    /// Defragmentation moves blocks and leaves the time stamps as they were.
    @Test(arguments: ["ext4", "xfs"])
    func aMappingThatMovedIsSeen(type: String) throws {
      let volume = try LoopFileSystem(type)
      try volume.run(
        """
        python3 -c '
        import os
        a, b = open("moved", "wb"), open("b", "wb")
        for i in range(200):
            for f in a, b:
                os.pwrite(f.fileno(), os.urandom(4096), 4096 * (199 - i))
                os.fsync(f.fileno())
        '; sync -f .
        """)
      let image = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: true))
      let times = try shell("stat -c %z%y \(volume.path("moved"))")
      let content = try contents(of: Array(volume.path("moved").utf8))
      // EXT4_IOC_MOVE_EXT, which e4defrag calls.
      try volume.run(
        type == "xfs"
          ? "xfs_fsr moved"
          : """
          fallocate -l 819200 donor
          python3 -c '
          import fcntl, struct
          a, b = open("moved", "r+b"), open("donor", "r+b")
          what = struct.pack("=IIQQQQ", 0, b.fileno(), 0, 0, 200, 0)
          fcntl.ioctl(a.fileno(), 0xC028660F, what)
          '; sync -f .
          """)
      let again = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: true))
      let places = (try image.extents("moved"), try again.extents("moved"))
      try #require(places.0 != places.1)
      #expect(try shell("stat -c %z%y \(volume.path("moved"))") == times)
      #expect(try contents(of: Array(volume.path("moved").utf8)) == content)
      #expect(try image.changes(validating: ["moved", "b"]) == ["moved"])
    }

    @Test func theTreeIsFoundAgainOrIsGone() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("mkdir -p a/d; echo x > a/d/f")
      let image = try FrozenTree(MountedTree(path: volume.path("a/d"), assumeFrozen: true))
      let open = { _ = try MountedTreeSource(image) }
      try volume.run("mv a/d e; rmdir a")
      try open()
      #expect(try image.changes(validating: ["f"]).isEmpty)
      try volume.run("rm -r e; mkdir -p a/d; echo x > a/d/f")
      #expect(reason(open) == "the image is no longer frozen: \(volume.path("a/d")) was deleted")
      #expect(reason { try image.source.liveCheck() }.contains("was deleted"))
    }

    @Test func saysThatTheFileSystemIsNotMounted() throws {
      let volume = try LoopFileSystem("ext4")
      try volume.run("mkdir d")
      try volume.remount("ro")
      let image = try MountedTree(path: volume.path("d")).image
      try shell("umount \(volume.mount)")
      let reason = reason {
        _ = try MountedTreeSource(
          image, stack: FrozenTree.found,
          representation: { throw CommandError(description: "not asked for") })
      }
      #expect(reason.contains("cannot be reached") && reason.contains("is not mounted where"))
    }
  }
}

extension MountedTreeSource {
  /// A source for the same image, as after a restart.
  fileprivate convenience init(_ image: FrozenTree) throws {
    let representation = image.representation
    try self.init(
      image.tree.image, stack: FrozenTree.found, representation: { representation })
  }
}
