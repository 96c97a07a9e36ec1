import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Volumes at rest that are no btrfs: LVM2, partitions, disk images, ext4.
  @Suite("Volume stacks", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Stacks {
    /// True remaps that one copy has to live through.
    private let leastRemaps: UInt64 = 20

    @Test("rsync and tar of an ext4 show it while its logical volume moves")
    func logicalVolumeMoves() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 320) { try $0.buildPortable() }
      let reference = try Ext4Image.reference(image, in: scratch)
      let volume = try LogicalVolume(in: scratch, content: image, megabytes: 320)
      try run("rm", [image])
      let production = try ProductionHost(in: scratch)
      let explained = try run(
        Floe.program, ["freeze", volume.path, "--explain"])
      #expect(explained.contains("ext"), "\(explained)")
      #expect(explained.contains(volume.path), "\(explained)")
      try run(Floe.program, ["freeze", volume.path, "--name", "lv", "--state", production.state])
      try production.serve()
      let mover = try volume.mover()

      let backup = try BackupHost(production.source("lv"), media: [], in: scratch)
      let target = try Volume(.single, in: scratch, megabytes: 2048, name: "second").mountpoint
      let copy = "\(target)/rsync"
      try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
      var status = try backup.status()
      print("rsync: \(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away")
      #expect(status.remaps >= leastRemaps, "\(status)")
      #expect(status.errors == 0, "\(status)")
      // A witness that fell between two commits is nobody's: for that moment floe reads
      // through the production host.
      #expect(status.bytes.production_host < status.bytes.storage, "\(status)")
      try Manifest(.copy, of: copy).expectSame(
        as: Manifest(.copy, of: reference), "the copy by rsync")
      try backup.unmount()

      let second = try BackupHost(production.source("lv"), media: [], in: scratch)
      let archive = "\(target)/archive.tar"
      let metadata = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
      try run(
        "tar",
        ["-C", second.mountpoint, "--format=posix", "--sparse"] + metadata + ["-cf", archive, "."])
      status = try second.status()
      #expect(status.remaps > 0, "\(status)")
      #expect(status.errors == 0, "\(status)")
      let unpacked = "\(target)/tar"
      try run("mkdir", [unpacked])
      try run("tar", ["-C", unpacked] + metadata + ["-xpf", archive])
      let skip = ["links/fifo", "links/fifo-again"]
      try Manifest(.copy, of: unpacked, skip: skip, options: ["--skip-type", "s"]).expectSame(
        as: Manifest(.copy, of: reference, skip: skip, options: ["--skip-type", "s"]),
        "the copy by tar")
      // Hundreds of moves, however fast the copies were.
      while mover.turns(of: "move") < 200 {
        try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
        let differences = try run(
          "rsync", ["-aHAXnc", "--itemize-changes", "\(second.mountpoint)/", "\(copy)/"])
        #expect(differences.isEmpty, "\(differences)")
      }
      try mover.stop()
      // At rest: what no copy keeps.
      try Self.full(second.mountpoint).expectSame(
        as: Self.full(reference), "the mount")
      try second.unmount()
    }

    @Test("The raw view of a logical volume that moves has its bytes; named physical volumes")
    func movingVolumeView() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.random("file", bytes: 50_000_000)
      }
      let volume = try LogicalVolume(in: scratch, content: content, megabytes: 64)
      let production = try ProductionHost(in: scratch)
      let named = volume.devices.flatMap { ["--pv", $0] }
      let incomplete = try attempt(
        Floe.program, ["freeze", volume.path, "--explain", "--pv", volume.devices[1]])
      #expect(!incomplete.succeeded)
      try run(
        Floe.program,
        ["freeze", volume.path, "--name", "lv", "--state", production.state] + named)
      try production.serve()
      let mover = try volume.mover()
      let backup = try BackupHost(
        production.source("lv"), media: [], options: ["--view", "volume"], in: scratch)
      repeat {
        try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
        try run("cmp", ["\(backup.mountpoint)/data.img", content])
      } while mover.turns(of: "move") < 20
      try mover.stop()
      let status = try backup.status()
      #expect(status.errors == 0 && status.remaps > 0, "\(status)")
      try backup.unmount()
    }

    /// Everything of a tree. What the kernel calls data of a preallocated range depends
    /// on which pages are in its cache, so that is emptied.
    private static func full(_ tree: String) throws -> Manifest {
      try run("sh", ["-c", "echo 3 >/proc/sys/vm/drop_caches"])
      return try Manifest(.full, of: tree, options: ["--directory-inodes"])
    }

    @Test(
      "A read-only ext4 and XFS show everything that the kernel shows", arguments: ["ext4", "xfs"])
    func mountedReadOnly(_ type: String) throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/\(type).img"
      try run("truncate", ["-s", "512M", image])
      try run("mkfs.\(type)", type == "ext4" ? ["-q", "-b", "4096", image] : ["-q", image])
      let mountpoint = try scratch.directory("mounted")
      try run("mount", ["-o", "loop", image, mountpoint])
      try Tree(mountpoint).buildPortable(files: 300, fragmented: 8 << 20)
      let production = try ProductionHost(in: scratch)
      let writable = try production.floe("freeze", mountpoint, "--explain")
      // What is written to is refused, or copied; never taken as it is.
      #expect(type == "xfs" ? writable.output.contains("reflink") : !writable.succeeded)
      try run("umount", [mountpoint])
      try run("mount", ["-o", "loop,ro", image, mountpoint])
      try run(Floe.program, ["freeze", mountpoint, "--name", "ro", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(
        production.source("ro"), media: [(id: image, path: image)], in: scratch)
      try Self.full(backup.mountpoint).expectSame(as: Self.full(mountpoint), "the mount")
      let status = try backup.status()
      #expect(status.errors == 0, "\(status)")
      #expect(status.bytes.production_host == 0, "\(status)")
      try backup.unmount()
      #expect(try production.floe("thaw", "ro").succeeded)
    }

    @Test("An XFS in use is frozen by reflink copies, read, and thawed without a trace")
    func reflinkCopy() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/xfs.img"
      try run("truncate", ["-s", "512M", image])
      try run("mkfs.xfs", ["-q", "-m", "reflink=1", image])
      let mountpoint = try scratch.directory("mounted")
      try run("mount", ["-o", "loop", image, mountpoint])
      let source = "\(mountpoint)/data"
      try run("mkdir", [source])
      try Tree(source).buildPortable(files: 300, fragmented: 8 << 20)
      let before = try Manifest(.copy, of: source)
      let production = try ProductionHost(in: scratch)
      try run(Floe.program, ["freeze", source, "--name", "copy", "--state", production.state])
      try production.serve()
      // The original goes on.
      try run(
        "sh",
        [
          "-c",
          "cd \(source) && for f in files/0/*; do echo changed >$f; done; rm -r files/1; "
            + "dd if=/dev/urandom of=storage/fragmented bs=1M count=4 conv=notrunc,fsync",
        ])
      let backup = try BackupHost(
        production.source("copy"), media: [(id: image, path: image)], in: scratch)
      try Manifest(.copy, of: backup.mountpoint).expectSame(as: before, "the mount")
      let status = try backup.status()
      #expect(status.errors == 0, "\(status)")
      // Without a witness every read is validated by a question.
      #expect(status.reads > 0 && status.bytes.production_host == 0, "\(status)")
      try backup.unmount()
      #expect(try production.floe("thaw", "copy").succeeded)
      #expect(access("\(mountpoint)/.floe", F_OK) != 0)
    }

    @Test("qcow2 images, also compressed and over a backing file, show what is in them")
    func qcow2() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.buildPortable(files: 100, fragmented: 2 << 20)
      }
      let reference = try Ext4Image.reference(content, in: scratch)
      let images = ["plain", "compressed", "overlay"].map { "\(scratch.path)/\($0).qcow2" }
      let convert = ["convert", "-f", "raw", "-O", "qcow2"]
      try run("qemu-img", convert + [content, images[0]])
      try run("qemu-img", convert + ["-c", content, images[1]])
      try run(
        "qemu-img", ["create", "-q", "-f", "qcow2", "-b", images[0], "-F", "qcow2", images[2]])
      let production = try ProductionHost(in: scratch)
      try production.serve()
      for (image, name) in zip(images, ["plain", "compressed", "overlay"]) {
        try run(
          Floe.program, ["freeze", image, "--name", name, "--state", production.state])
        // Compressed clusters come through the production host, everything else from the file.
        let media = images.map { (id: $0, path: $0) }.filter {
          $0.path == image || name == "overlay" && $0.path == images[0]
        }
        let backup = try BackupHost(production.source(name), media: media, in: scratch)
        try Self.full(backup.mountpoint).expectSame(as: Self.full(reference), "\(name)")
        let status = try backup.status()
        #expect(status.errors == 0, "\(status)")
        #expect((status.bytes.production_host > 0) == (name == "compressed"), "\(status)")
        try backup.unmount()
      }
    }

    @Test("A disk image with GPT, LVM2 and ext4 is frozen and mounted from a file, both views")
    func diskImage() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.buildPortable(files: 200, fragmented: 4 << 20)
      }
      let disk = try DiskImage.make(in: scratch, content: content, megabytes: 64)
      let file = "\(scratch.path)/disk.floe"
      try run(Floe.program, ["freeze", "\(disk):2", "-o", file])
      let backup = try BackupHost(file, media: [], in: scratch)
      let reference = try Ext4Image.reference(content, in: scratch)
      try Self.full(backup.mountpoint).expectSame(
        as: Self.full(reference), "the mount")
      try backup.unmount()

      let volume = try BackupHost(
        file, media: [], options: ["--view", "volume"], in: scratch, name: "volume")
      try run("cmp", ["\(volume.mountpoint)/data.img", content])
      // A block-level backup, and a loop mount of the view itself.
      let inside = try scratch.directory("inside")
      try run("mount", ["-o", "loop,ro,noload", "\(volume.mountpoint)/data.img", inside])
      try Self.full(inside).expectSame(
        as: Self.full(reference), "the loop mount")
      try run("umount", [inside])
      let qcow2 = "\(scratch.path)/copy.qcow2"
      try run(
        "qemu-img",
        ["convert", "-f", "raw", "-O", "qcow2", "\(volume.mountpoint)/data.img", qcow2])
      try run("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", qcow2, content])
      // A tool that copies the used blocks only; what it restores is the same tree.
      let blocks = "\(scratch.path)/blocks.partclone"
      try run(
        "partclone.extfs", ["-c", "-q", "-s", "\(volume.mountpoint)/data.img", "-o", blocks])
      let restored = "\(scratch.path)/restored.img"
      try run("truncate", ["-s", "64M", restored])
      try run("partclone.extfs", ["-r", "-q", "-s", blocks, "-O", restored])
      try run("mount", ["-o", "loop,ro,noload", restored, inside])
      try Self.full(inside).expectSame(as: Self.full(reference), "what partclone restored")
      try run("umount", [inside])
      try volume.unmount()
    }
  }
}

/// A disk image with a GPT of two partitions; the second is an LVM2 physical volume.
enum DiskImage {
  /// Makes the image and returns its path.
  ///
  /// - Parameters:
  ///   - content: the path of what its logical volume is to hold.
  ///   - megabytes: the logical volume's size.
  static func make(in scratch: Scratch, content: String, megabytes: Int) throws -> String {
    let volume = try LogicalVolume(in: scratch, content: content, megabytes: megabytes, volumes: 1)
    let disk = "\(scratch.path)/disk.img"
    let physical = "\(scratch.path)/physical-0"
    // The physical volume goes behind a first partition of 4 MiB, as it is.
    let size = megabytes * 2 + 16
    try run("truncate", ["-s", "\(size + 8)M", disk])
    try run(
      "sh",
      [
        "-c",
        "printf 'label: gpt\\nstart=1MiB, size=4MiB\\nstart=5MiB, size=\(size)MiB, type=lvm\\n' "
          + "| sfdisk -q \(disk)",
      ])
    try run(
      "dd", ["if=\(physical)", "of=\(disk)", "bs=1M", "seek=5", "conv=notrunc,sparse"])
    for device in volume.devices { try run("losetup", ["-d", device]) }
    try run("rm", [physical])
    return disk
  }
}
