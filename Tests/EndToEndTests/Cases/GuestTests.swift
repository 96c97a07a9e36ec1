import Glibc
import Testing

extension EndToEnd {
  /// Production hosts with a kernel of their own, with device-mapper: what the real lvm2
  /// moves, seen from this machine off the shared disks. All share one guest.
  @Suite(
    "Guest", .serialized, .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [416, 256]))
  struct InGuest {
    /// Makes an ext4 with a tree for the guest; returns where this machine has it mounted,
    /// which is the reference.
    private func ext4(_ guest: Guest, megabytes: Int) throws -> String {
      let image = try Ext4Image.make(in: guest.scratch, megabytes: megabytes) {
        try $0.buildPortable(files: 200, fragmented: 8 << 20)
      }
      let reference = try Ext4Image.reference(image, in: guest.scratch)
      try run("mv", [image, "\(guest.folder)/ext4.img"])
      return reference
    }

    private func forget(_ reference: String) throws {
      try run("umount", [reference])
    }

    @Test("rsync of an ext4 shows it while the real pvmove moves its logical volume to and fro")
    func pvmove() throws {
      let guest = try #require(Guest.current)
      let reference = try ext4(guest, megabytes: 96)
      try guest.run(
        """
        vgcreate -qq -y -s 1m moved /dev/vda /dev/vdb
        lvcreate -qq -y -n data -l 96 moved /dev/vda
        dd if=/share/ext4.img of=/dev/moved/data bs=1M oflag=direct status=none
        $floe freeze moved/data --name moved --state $state
        """)
      try guest.serve()
      let backup = try guest.mount("moved", options: ["--remap-timeout", "120"], name: "moved")
      let copy = try guest.scratch.directory("moved-copy")
      // Each turn overwrites what the last move left.
      let mover = try guest.start(
        """
        from=/dev/vda to=/dev/vdb
        until [ -e /share/moved.stop ]; do
          pvmove -qq -i 1 -n data $from $to
          lvcreate -qq -y -n waste -l 100 moved $from
          dd if=/dev/urandom of=/dev/moved/waste bs=1M count=100 oflag=direct status=none || true
          lvremove -qq -y moved/waste
          echo moved
          # Each commit of lvm2 takes an answer of the service with it; here those are slow.
          sleep 4
          old=$from from=$to to=$old
        done
        """)
      func turns() -> Int { mover.output.split(separator: "\n").count { $0 == "moved" } }
      try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
      try Manifest(.copy, of: copy).expectSame(as: Manifest(.copy, of: reference), "the copy")
      while turns() < 4 {
        if let status = mover.status { throw HarnessError("\(status): \(mover.output)") }
        try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
        let differences = try run(
          "rsync", ["-aHAXnc", "--itemize-changes", "\(backup.mountpoint)/", "\(copy)/"])
        #expect(differences.isEmpty, "\(differences)")
      }
      try writeFile("\(guest.folder)/moved.stop", [])
      try mover.wait()
      let status = try backup.status()
      print("pvmove: \(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away")
      #expect(status.remaps >= 3, "\(status)")
      #expect(status.errors == 0, "\(status)")
      #expect(status.bytes.storage > status.bytes.production_host, "\(status)")
      try backup.unmount()
      try guest.run(
        "$floe thaw moved --state $state; vgremove -qq -y moved; pvremove -qq -y /dev/vd[ab]")
      try forget(reference)
    }
  }
}
