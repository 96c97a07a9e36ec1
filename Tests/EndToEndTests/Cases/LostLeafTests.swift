import FoundationEssentials
import Glibc
import HostSystem
import TestTags
import Testing

extension EndToEnd {
  /// A btrfs of which a leaf is destroyed on the device.
  @Suite("Lost leaf", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct LostLeaf {
    private struct Report: Decodable {
      struct Part: Decodable {
        let path: String
      }

      let unreadable_count: UInt64
      let unreadable: [Part]
    }

    /// 600 files in one directory, and one beside it; the leaf in the middle is overwritten.
    private func damagedVolume(in scratch: Scratch) throws -> Volume {
      let volume = try Volume(.single, in: scratch, megabytes: 256)
      let build = """
        cd \(volume.mountpoint); btrfs -q subvolume create data; mkdir data/d
        for i in $(seq 1000 1599); do echo file $i > data/d/$i; done; echo good > data/good
        """
      try run("bash", ["-ec", build])
      try volume.sync()
      try volume.unmount()
      let device = volume.devices[0].loop
      let destroy = """
        leaves=($(btrfs inspect-internal dump-tree -t 256 \(device) | sed -n 's/^leaf \\([0-9]*\\) items.*/\\1/p'))
        [ ${#leaves[@]} -gt 8 ]
        for place in $(btrfs-map-logical -l ${leaves[${#leaves[@]} / 2]} \(device) | grep -o 'physical [0-9]*' | cut -d' ' -f2); do
          dd if=/dev/urandom of=\(device) bs=16384 count=1 seek=$place oflag=seek_bytes conv=notrunc status=none
        done
        sync \(device)
        """
      try run("bash", ["-ec", destroy])
      try volume.mount()
      return volume
    }

    @Test("It costs the files in it, which freeze names; --strict refuses")
    func isNamed() throws {
      let scratch = try Scratch()
      let volume = try damagedVolume(in: scratch)
      let production = try ProductionHost(in: scratch)
      let source = "\(volume.mountpoint)/data"
      let file = "\(scratch.path)/image.floe"
      let strict = try production.floe(
        "freeze", source, "--name", "image", "-o", file, "--strict")
      #expect(!strict.succeeded && strict.errors.contains("/d/1"), "\(strict.errors)")
      #expect(access(file, F_OK) != 0)
      #expect(try production.snapshots(beside: source).isEmpty)

      let freeze = try production.floe(
        "freeze", source, "--name", "image", "-o", file, "--json")
      #expect(freeze.succeeded, "\(freeze.errors)")
      #expect(freeze.errors.contains("cannot be read, keys ("), "\(freeze.errors)")
      let report = try JSONDecoder().decode(Report.self, from: Data(freeze.output.utf8))
      #expect((1...250).contains(report.unreadable_count), "\(freeze.output)")

      let device = volume.devices[0]
      let backup = try BackupHost(file, media: [(device.medium, device.loop)], in: scratch)
      #expect(try readFile("\(backup.mountpoint)/good") == Array("good\n".utf8))
      var lost = 0
      for number in 1000..<1600 {
        let read = try? readFile("\(backup.mountpoint)/d/\(number)")
        if let read {
          #expect(read == Array("file \(number)\n".utf8))
        } else {
          lost += 1
        }
      }
      #expect(lost > 0 && lost < 300, "\(lost)")
      // It tells by its exit status, too, that reads failed.
      let status = try attempt(Floe.program, ["status", backup.mountpoint, "--json"]).output
      #expect(status.contains("\"unreadable_count\" : \(report.unreadable_count)"), "\(status)")
      try backup.unmount()
    }
  }
}
