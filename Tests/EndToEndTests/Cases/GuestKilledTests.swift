import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// A production host that dies: it has a guest of its own, which no other test needs.
  @Suite(
    "Guest that dies", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsGuest, .slow),
    .serialized, .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [288]))
  struct InGuestThatDies {
    private let files = 16

    @Test("A copy of a thick snapshot is right although its host is killed in the middle of it")
    func killed() throws {
      let guest = try #require(Guest.current)
      let shared = InGuest()
      let reference = try shared.ext4(guest, megabytes: 96) { tree in
        for number in 0..<files { try tree.writer.random("file\(number)", bytes: 4 << 20) }
      }
      try guest.run(
        """
        vgcreate -qq -y -s 1m dies /dev/vda
        lvcreate -qq -y -n data -l 96 dies
        dd if=/share/ext4.img of=/dev/dies/data bs=1M oflag=direct status=none
        mkdir -p /tmp/dies
        mount /dev/dies/data /tmp/dies
        lvcreate -qq -y -s -pr -n snap -L 128m dies/data
        $floe freeze dies/snap --name dies --state $state -o /share/dies.floe
        """)
      try guest.serve()
      let backup = try guest.mount("dies", name: "dies")
      let writer = try shared.startWriting("dies", bytes: 64 << 10, on: guest)
      let copy = try guest.scratch.directory("dies-copy")
      let copying = try guest.scratch.start(
        "rsync", ["-a", "--bwlimit=6000", "\(backup.mountpoint)/", copy])
      func copied() throws -> Int { try names(in: copy).count { $0.hasPrefix("file") } }
      try waitUntil("some was copied, and chunks moved", seconds: 120) {
        if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
        let written = writer.output.split(separator: "\n").count
        return try copied() >= 4 && written >= 40
      }
      try guest.die()
      #expect(try copied() < files)
      let ending = try copying.wait(seconds: 300)
      #expect(ending == .exited(0), "\(copying.errors)")
      try run("diff", ["-r", "-x", "lost+found", reference, copy])
      let status = try backup.status()
      print("killed guest: \(status.answers), \(status.remaps) remaps")
      #expect(status.errors == 0 && status.remaps > 0, "\(status)")
      #expect(status.answers.storage > 0 && status.answers.production_host == 0, "\(status)")
      #expect(!status.production_host.reachable, "\(status)")
      try backup.unmount()

      // Who comes later has the file alone, and nothing lies where the file says.
      let late = try BackupHost(
        "\(guest.folder)/dies.floe", media: [(id: "/dev/vda", path: guest.disks[0])],
        in: guest.scratch, name: "dies-late")
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      try run("diff", ["-r", "-x", "lost+found", reference, late.mountpoint])
      #expect(try late.status().answers.storage > 0)
      try late.unmount()
      try shared.forget(reference)
    }
  }
}
