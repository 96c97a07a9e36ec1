import FoundationEssentials
import TestTags
import Testing

extension EndToEnd {
  /// Disk images that lead to other files, and what `floe freeze` says of what it reads.
  @Suite("Disk images", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct DiskImages {
    private struct Report: Decodable {
      struct Medium: Decodable {
        let id: String
        let path: String
      }
      let media: [Medium]
    }

    @Test("A backing file elsewhere is followed only when it is named, also by the service")
    func backingFile() throws {
      let scratch = try Scratch()
      let base = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.buildPortable(files: 50, fragmented: 1 << 20)
      }
      let top = "\(try scratch.directory("tenant"))/top.qcow2"
      try run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top])
      let production = try ProductionHost(in: scratch)
      let refused = try production.floe("freeze", top, "--name", "disk")
      #expect(!refused.succeeded)
      #expect(refused.errors.contains("say --backing \(base)"), "\(refused.errors)")
      #expect(try production.floe("images").output.contains("disk") == false)

      let frozen = try production.floe("freeze", top, "--name", "disk", "--backing", base, "--json")
      #expect(frozen.succeeded, "\(frozen.errors)")
      let report = try JSONDecoder().decode(Report.self, from: Data(frozen.output.utf8))
      #expect(report.media.map(\.path) == [top, base])
      // For people, too.
      let file = "\(scratch.path)/disk.floe"
      let text = try run(Floe.program, ["freeze", top, "--backing", base, "-o", file])
      #expect(text.hasSuffix("\nmedium \(top)\nmedium \(base)\n"), "\(text)")

      // The service looks for the image by itself.
      try production.serve()
      let backup = try BackupHost(
        production.source("disk"), media: [(id: top, path: top), (id: base, path: base)],
        in: scratch)
      let reference = try Ext4Image.reference(base, in: scratch)
      try Manifest(.copy, of: backup.mountpoint).expectSame(
        as: Manifest(.copy, of: reference), "the mount")
      let status = try backup.status()
      #expect(status.errors == 0, "\(status)")
      try backup.unmount()
      #expect(try production.floe("thaw", "disk").succeeded)
    }

    @Test("Every provider prints its media")
    func media() throws {
      let scratch = try Scratch()
      let volume = try Volume(.raid1, in: scratch, megabytes: 512)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()
      let production = try ProductionHost(in: scratch)
      let text = try run(
        Floe.program, ["freeze", source, "--name", "btrfs", "--state", production.state])
      for (index, device) in volume.devices.enumerated() {
        #expect(text.contains("\nmedium devid \(index + 1): \(device.loop)"), "\(text)")
      }
      #expect(try production.floe("thaw", "btrfs").succeeded)

      let image = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.buildPortable(files: 50, fragmented: 1 << 20)
      }
      let mountpoint = try scratch.directory("mounted")
      try run("mount", ["-o", "loop,ro", image, mountpoint])
      let mounted = try run(
        Floe.program, ["freeze", mountpoint, "--name", "ro", "--state", production.state])
      #expect(mounted.hasSuffix("\nmedium \(image)\n"), "\(mounted)")
      #expect(try production.floe("thaw", "ro").succeeded)
    }
  }
}
