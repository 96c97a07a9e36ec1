import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Production hosts with a kernel of their own, with device-mapper: what the real lvm2
  /// moves, seen from this machine off the shared disks. All share one guest.
  @Suite(
    "Guest", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsGuest, .slow), .serialized,
    .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [416, 256]))
  struct InGuest {
    /// Makes an ext4 with a tree for the guest; returns where this machine has it mounted,
    /// which is the reference.
    func ext4(
      _ guest: Guest, megabytes: Int,
      build: (Tree) throws -> Void = { try $0.buildPortable(files: 200, fragmented: 8 << 20) }
    ) throws -> String {
      let image = try Ext4Image.make(in: guest.scratch, megabytes: megabytes, build: build)
      let reference = try Ext4Image.reference(image, in: guest.scratch)
      try run("mv", [image, "\(guest.folder)/ext4.img"])
      return reference
    }

    func forget(_ reference: String) throws {
      try run("umount", [reference])
    }

    /// Reads all files of a mount anew and compares them with a copy of them.
    func compare(_ backup: BackupHost, with copy: String) throws {
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let differences = try run(
        "rsync", ["-aHAXnc", "--itemize-changes", "\(backup.mountpoint)/", "\(copy)/"])
      // What rsync cannot read it only calls different.
      let status = try backup.status()
      guard status.errors == 0 else { throw HarnessError("\(status.failures)") }
      guard differences.isEmpty else { throw HarnessError("wrong bytes:\n\(differences)") }
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
        try compare(backup, with: copy)
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

    /// Makes a volume group with an ext4 that is in use, and a snapshot of it.
    private func makeSnapshot(_ group: String, megabytes: Int, on guest: Guest) throws {
      try guest.run(
        """
        vgcreate -qq -y -s 1m \(group) /dev/vda
        lvcreate -qq -y -n data -l 96 \(group)
        dd if=/share/ext4.img of=/dev/\(group)/data bs=1M oflag=direct status=none
        mkdir -p /tmp/\(group)
        mount /dev/\(group)/data /tmp/\(group)
        lvcreate -qq -y -s -pr -n snap -L \(megabytes)m \(group)/data
        $floe freeze \(group)/snap --name \(group) --state $state
        """)
    }

    /// Writes over the origin, as long as nobody says stop, and no file system is left of it.
    ///
    /// - Parameter flushes: whether each write is made durable before the next.
    func startWriting(
      _ group: String, bytes: Int, flushes: Bool = true, on guest: Guest
    ) throws -> Guest.Script {
      let writer = try guest.start(
        """
        umount /tmp/\(group)
        exec python3 -u - <<'END'
        import mmap, os, random, time
        flush = \(flushes ? "os.O_DSYNC" : "0")
        device = os.open("/dev/\(group)/data", os.O_WRONLY | os.O_DIRECT | flush)
        size, length = os.lseek(device, 0, os.SEEK_END), \(bytes)
        buffer = mmap.mmap(-1, length)
        places = []
        while not os.path.exists("/share/\(group).stop"):
            # No place twice before all were written: blocks move for as long as can be.
            if not places:
                places = random.sample(range(size // length), size // length)
            buffer[:] = os.urandom(length)
            os.pwritev(device, [buffer], places.pop() * length)
            print("written")
            time.sleep(0.05)
        END
        """)
      try waitUntil("the origin is written", seconds: 120) {
        if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
        return writer.output.contains("written")
      }
      return writer
    }

    /// Sectors of a snapshot's store that are in use, and how many of them hold no data.
    private func fill(_ group: String, on guest: Guest) throws -> (used: Int, metadata: Int) {
      let words = try guest.run("dmsetup status \(group)-snap").split { " /\n".contains($0) }
      guard words.count > 5, let used = Int(words[3]), let metadata = Int(words[5]) else {
        throw HarnessError("dmsetup status: \(words)")
      }
      return (used, metadata)
    }

    /// The storage itself says so soon where a chunk is that hardly a read is stale.
    private static let slowAnswers = ["--remap-timeout", "120", "--answers", "host"]

    @Test("tar and rsync of a thick snapshot show it while its origin is overwritten")
    func thickSnapshot() throws {
      let guest = try #require(Guest.current)
      let reference = try ext4(guest, megabytes: 96)
      try makeSnapshot("thick", megabytes: 128, on: guest)
      try guest.serve()
      let backup = try guest.mount("thick", options: Self.slowAnswers, name: "thick")
      let volume = try guest.mount(
        "thick", options: Self.slowAnswers + ["--view", "volume"], name: "thick-volume")
      let writer = try startWriting("thick", bytes: 64 << 10, on: guest)
      // All of the snapshot, in pieces that are large enough to move while they are read.
      let whole = try guest.scratch.start(
        "sh", ["-c", "sha256sum <\(volume.mountpoint)/data.img"])
      let copies = try guest.scratch.directory("thick-copies")
      let metadata = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
      try run(
        "tar",
        ["-C", backup.mountpoint, "--format=posix", "--sparse"] + metadata
          + ["-cf", "\(copies)/tar", "."])
      try run("mkdir", ["\(copies)/unpacked"])
      try run("tar", ["-C", "\(copies)/unpacked"] + metadata + ["-xpf", "\(copies)/tar"])
      let skip = ["links/fifo", "links/fifo-again"]
      try Manifest(.copy, of: "\(copies)/unpacked", skip: skip, options: ["--skip-type", "s"])
        .expectSame(
          as: Manifest(.copy, of: reference, skip: skip, options: ["--skip-type", "s"]),
          "the copy by tar")
      try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", "\(copies)/rsync"])
      try Manifest(.copy, of: "\(copies)/rsync").expectSame(
        as: Manifest(.copy, of: reference), "the copy by rsync")
      let wholeEnding = try whole.wait(seconds: 300)
      #expect(wholeEnding == .exited(0), "\(whole.errors)")
      var fill = try fill("thick", on: guest)
      while (fill.used - fill.metadata) / 8 < 2500 {
        if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
        try compare(backup, with: "\(copies)/rsync")
        fill = try self.fill("thick", on: guest)
      }
      try compare(backup, with: "\(copies)/rsync")
      try writeFile("\(guest.folder)/thick.stop", [])
      try writer.wait()
      let status = try backup.status()
      let stale = try status.discarded_reads + volume.status().discarded_reads
      print(
        "thick snapshot: \((fill.used - fill.metadata) / 8) chunks copied, \(status.remaps) remaps, "
          + "\(stale) stale reads thrown away")
      #expect(status.remaps > 10, "\(status)")
      #expect(stale > 0, "\(status)")
      #expect(status.errors == 0, "\(status)")
      #expect(status.bytes.storage > status.bytes.production_host, "\(status)")
      // The whole snapshot, as the guest's own kernel shows it: read under motion, and now.
      let own = try guest.run("sha256sum </dev/thick/snap")
      #expect(whole.output == own)
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      #expect(try run("sh", ["-c", "sha256sum <\(volume.mountpoint)/data.img"]) == own)
      try volume.unmount()
      try expectGone(backup, guest)
      try backup.unmount()
      try guest.run(
        "$floe thaw thick --state $state; vgremove -qq -y thick; pvremove -qq -y /dev/vda")
      try forget(reference)
    }

    /// Removes the snapshot: it is gone for good, and the sentence says so.
    private func expectGone(_ backup: BackupHost, _ guest: Guest) throws {
      try guest.run("lvremove -qq -y thick/snap")
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let lost = try attempt("cat", ["\(backup.mountpoint)/storage/fragmented"])
      #expect(lost.errors.contains("Stale file handle"), "\(lost)")
      let gone = try attempt(Floe.program, ["status", backup.mountpoint])
      #expect(gone.ending == .exited(2), "\(gone)")
      #expect(
        gone.output.contains("the logical volume thick/snap that was frozen was removed"),
        "\(gone)")
    }

    @Test("A snapshot that overflows under rsync ends it with ESTALE and no wrong byte")
    func overflow() throws {
      let guest = try #require(Guest.current)
      // Few files: rsync 3.2 may wait for itself when thousands cannot be read.
      let reference = try ext4(guest, megabytes: 96) { tree in
        for number in 0..<16 { try tree.writer.random("file\(number)", bytes: 4 << 20) }
      }
      try makeSnapshot("filled", megabytes: 8, on: guest)
      // A directory on it is as good as its name.
      let mounted = try guest.run(
        """
        mkdir -p /tmp/mounted
        mount -o ro,noload /dev/filled/snap /tmp/mounted
        $floe freeze /tmp/mounted --name mounted --state $state
        umount /tmp/mounted
        $floe thaw mounted --state $state
        """)
      #expect(mounted.contains("medium /dev/vda"), "\(mounted)")
      try guest.serve()
      let backup = try guest.mount(
        "filled", options: ["--remap-timeout", "120"], name: "filled")
      let copy = try guest.scratch.directory("filled-copy")
      let writer = try startWriting("filled", bytes: 64 << 10, on: guest)
      var ending: Outcome
      repeat {
        try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
        ending = try attempt("rsync", ["-aHAXS", "--ignore-times", "\(backup.mountpoint)/", copy])
      } while ending.succeeded
      #expect(ending.ending == .exited(23), "\(ending)")
      #expect(ending.errors.contains("Stale file handle (116)"), "\(ending)")
      // What is there is right.
      let differences = try run(
        "rsync", ["-rnc", "--existing", "--itemize-changes", "\(copy)/", "\(reference)/"])
      #expect(differences.isEmpty, "\(differences)")
      let status = try attempt(Floe.program, ["status", backup.mountpoint])
      #expect(status.ending == .exited(2) && status.output.contains("overflowed"), "\(status)")
      try writeFile("\(guest.folder)/filled.stop", [])
      try writer.wait()
      let refused = try guest.run("$floe freeze filled/snap --explain 2>&1 || true")
      #expect(refused.contains("overflowed"), "\(refused)")
      try backup.unmount()
      try guest.run(
        "$floe thaw filled --state $state; vgremove -qq -y filled; pvremove -qq -y /dev/vda")
      try forget(reference)
    }
  }
}
