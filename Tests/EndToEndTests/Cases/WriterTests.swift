import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Programs that write what is frozen, or did so just before.
  @Suite("Writers of a volume at rest", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Writers {
    /// A loop device over a file of random bytes, which is frozen as a raw volume.
    private struct Disk {
      let file: String
      let device: String

      init(in scratch: Scratch) throws {
        file = "\(scratch.path)/disk"
        try run("dd", ["if=/dev/urandom", "of=\(file)", "bs=1M", "count=8"])
        device = try Volume.attach(file)
      }

      func freeze(_ path: String, into representation: String) throws -> Outcome {
        try attempt(
          Floe.program, ["freeze", path, "--assume-frozen", "-o", representation])
      }
    }

    /// The last program that closes a device writes its cache out: here one keeps it open.
    @Test("What is in the cache of a loop device only is in the image", arguments: [true, false])
    func cacheOfADevice(named: Bool) throws {
      let scratch = try Scratch()
      let disk = try Disk(in: scratch)
      let reader = try scratch.start("sh", ["-c", "exec <\(disk.device); echo open; sleep 600"])
      try waitUntil("the device is open") { reader.output.contains("open") }
      let content = "\(scratch.path)/content"
      try run("dd", ["if=/dev/urandom", "of=\(content)", "bs=1M", "count=8"])
      try run("dd", ["if=\(content)", "of=\(disk.device)", "bs=1M"])
      let representation = "\(scratch.path)/disk.floe"
      let frozen = try disk.freeze(named ? disk.device : disk.file, into: representation)
      #expect(frozen.succeeded, "\(frozen.errors)")
      // The file holds it, and nothing of it comes later.
      try run("cmp", [content, disk.file])
      let backup = try BackupHost(
        representation, media: [], options: ["--view", "volume"], in: scratch)
      try run("cmp", [content, "\(backup.mountpoint)/data.img"])
      try backup.unmount()
    }

    /// Who has the file or the device open, or only mapped, is named.
    @Test(
      "A volume that somebody has open for writing is not frozen",
      arguments: [
        "f = open(path, 'r+b', 0)",
        "import mmap, os; m = mmap.mmap(os.open(path, os.O_RDWR), 4096); os.closerange(3, 9)",
      ], [true, false])
    func openForWriting(how: String, device: Bool) throws {
      let scratch = try Scratch()
      let disk = try Disk(in: scratch)
      let path = device ? disk.device : disk.file
      let writer = try scratch.start(
        "python3",
        ["-c", "import time; path = '\(path)'; \(how); print('open', flush=True); time.sleep(600)"])
      try waitUntil("the writer has it open") { writer.output.contains("open") }
      let representation = "\(scratch.path)/disk.floe"
      for frozen in [disk.file, disk.device] {
        let outcome = try disk.freeze(frozen, into: representation)
        #expect(!outcome.succeeded)
        #expect(
          outcome.errors.contains(
            "\(path) is open for writing by process \(writer.identifier) (python3)"),
          "\(outcome.errors)")
        #expect(access(representation, F_OK) != 0)
      }
      writer.signal(SIGKILL)
      try writer.wait()
      let outcome = try disk.freeze(disk.file, into: representation)
      #expect(outcome.succeeded, "\(outcome.errors)")
    }

    @Test("A writer whose process cannot be seen is noticed by a lease of the file")
    func writerOutsideOfTheNamespace() throws {
      let scratch = try Scratch()
      let file = "\(scratch.path)/disk"
      try run("dd", ["if=/dev/urandom", "of=\(file)", "bs=1M", "count=8"])
      let writer = try scratch.start("sh", ["-c", "exec 3<>\(file); echo open; sleep 600"])
      try waitUntil("the writer has it open") { writer.output.contains("open") }
      let outcome = try attempt(
        "unshare",
        ["-p", "-f", "--mount-proc", Floe.program, "freeze", file, "--assume-frozen", "--explain"])
      #expect(outcome.succeeded, "\(outcome.errors)")
      let frozen = try attempt(
        "unshare",
        [
          "-p", "-f", "--mount-proc", Floe.program, "freeze", file, "--assume-frozen", "-o",
          "\(file).floe",
        ])
      #expect(!frozen.succeeded)
      #expect(frozen.errors.contains("whom this user cannot see"), "\(frozen.errors)")
    }

    /// What is on another partition of the disk is nobody's concern.
    @Test("A mounted neighbour on the same disk disturbs no freeze; a mount of the volume does")
    func mountedNeighbour() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/disk"
      try run("truncate", ["-s", "64M", image])
      try run(
        "sh",
        ["-c", "printf 'label: gpt\\nsize=16MiB\\nsize=16MiB\\n' | sfdisk -q \(image)"])
      // Two loop devices with offsets stand for the partitions, as no kernel needs to be told.
      let devices = try [1, 17].map {
        try run(
          "losetup", ["-f", "--show", "-o", "\($0)M", "--sizelimit", "16M", image]
        ).split(separator: "\n").joined()
      }
      for device in devices { try run("mkfs.ext2", ["-q", device]) }
      let mountpoint = try scratch.directory("neighbour")
      try run("mount", [devices[1], mountpoint])
      let file = "\(scratch.path)/image.floe"
      let other = try attempt(Floe.program, ["freeze", "\(image):1", "-o", file])
      #expect(other.succeeded, "\(other.errors)")
      let mounted = try attempt(Floe.program, ["freeze", "\(image):2", "-o", file, "--force"])
      #expect(!mounted.succeeded)
      try run("mount", ["-o", "remount,ro", mountpoint])
      let readOnly = try attempt(Floe.program, ["freeze", "\(image):2", "-o", file, "--force"])
      #expect(readOnly.succeeded, "\(readOnly.errors)")
      try run("umount", [mountpoint])
    }
  }
}
