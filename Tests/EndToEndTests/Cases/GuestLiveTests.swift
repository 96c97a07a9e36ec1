import Glibc
import TestTags
import Testing

extension EndToEnd.InGuest {
  /// A mounted file system that is in use, on a logical volume.
  private struct Live {
    let guest: Guest
    /// The group's name, and the image's.
    let name: String

    /// Makes a file system with a tree in the guest and mounts it.
    ///
    /// - Parameter create: makes the volume NAME/data.
    init(_ name: String, _ type: String, megabytes: Int, on guest: Guest, create: String) throws {
      self.guest = guest
      self.name = name
      let image = "\(guest.folder)/\(type).img"
      try EndToEndTests.run("truncate", ["-s", "\(megabytes)M", image])
      try EndToEndTests.run(
        "mkfs.\(type)", type == "ext4" ? ["-q", "-b", "4096", image] : ["-q", image])
      let built = try guest.scratch.directory("\(name)-built")
      try EndToEndTests.run("mount", ["-o", "loop", image, built])
      try Tree(built).buildPortable(files: 60, fragmented: 8 << 20, entries: 50)
      try EndToEndTests.run("umount", [built])
      try guest.run(
        """
        blkdiscard /dev/vda
        blkdiscard /dev/vdb
        vgcreate -qq -y -s 1m \(name) /dev/vda /dev/vdb
        \(create)
        dd if=/share/\(type).img of=/dev/\(name)/data bs=1M oflag=direct conv=sparse status=none
        mkdir -p /srv/\(name)
        mount /dev/\(name)/data /srv/\(name)
        rm /share/\(type).img
        """)
    }

    /// Changes files, makes new ones and removes others, until it is told to stop.
    func startWriting() throws -> Guest.Script {
      let writer = try guest.start(
        """
        exec python3 -u - <<'END'
        import os, random, time
        top = "/srv/\(name)"
        large = os.open(top + "/storage/fragmented", os.O_WRONLY)
        files = [os.path.join(d, f) for d, _, fs in os.walk(top + "/files") for f in fs]
        turn = 0
        while not os.path.exists("/share/\(name).stop"):
            turn += 1
            os.pwrite(large, os.urandom(65536), random.randrange(120) * 65536)
            with open(top + "/new%d" % turn, "wb") as new:
                new.write(os.urandom(random.randrange(100000)))
            if turn > 3: os.unlink(top + "/new%d" % (turn - 3))
            with open(random.choice(files), "r+b") as file:
                file.write(b"changed %d" % turn)
            os.sync()
            print("written")
            # Each write has answers asked for anew, which take long in a guest.
            time.sleep(0.7 if os.path.exists("/share/\(name).slow") else 0.02)
        END
        """)
      try waitUntil("the file system is written", seconds: 120) {
        if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
        return writer.output.contains("written")
      }
      return writer
    }

    /// Has writes leave time for answers, which are slow in a guest.
    func slowDown() throws { try writeFile("\(guest.folder)/\(name).slow", []) }

    /// What the guest's own kernel shows of the snapshot, told by an independent tool.
    func reference(options: String) throws -> Manifest {
      let text = try guest.run(
        """
        lvchange -qq -y -ay -K $(lvs --noheadings -o lv_full_name -S 'lv_name=~^floe-' \(name))
        mkdir -p /tmp/frozen
        mount -o ro,\(options) /dev/\(name)/floe-* /tmp/frozen
        python3 \(Floe.repository)/Tests/EndToEndTests/manifest/manifest.py copy /tmp/frozen
        umount /tmp/frozen
        """)
      return Manifest(lines: text.split(separator: "\n").map(String.init))
    }

    /// Ends the image and the group: of the snapshot nothing is left.
    func remove() throws {
      let left = try guest.run(
        """
        $floe thaw \(name) --state $state
        lvs --noheadings -o lv_name \(name) | grep floe && exit 1
        umount /srv/\(name)
        vgremove -qq -y \(name)
        pvremove -qq -y /dev/vda /dev/vdb
        """)
      #expect(left.contains("\(name) ") && left.contains("thawed"), "\(left)")
    }
  }

  @Test(
    "A directory of a busy XFS on LVM is frozen by a snapshot, and read while its origin goes on")
  func liveXFS() throws {
    let guest = try #require(Guest.current)
    let live = try Live(
      "livexfs", "xfs", megabytes: 304, on: guest, create: "lvcreate -qq -y -n data -l 304 livexfs")
    let writer = try live.startWriting()
    let frozen = try guest.run(
      "$floe freeze /srv/livexfs --name livexfs --snapshot-size 128m --state $state --json")
    #expect(frozen.contains("\"quiet_seconds\""), "\(frozen)")
    #expect(frozen.contains("\"provider\" : \"lvm\""), "\(frozen)")
    try live.slowDown()
    let reference = try live.reference(options: "nouuid,norecovery")
    try guest.serve()
    let backup = try guest.mount("livexfs", options: ["--remap-timeout", "120"], name: "livexfs")
    let copy = try guest.scratch.directory("livexfs-copy")
    try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
    try Manifest(.copy, of: copy).expectSame(as: reference, "the copy by rsync")
    if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
    try compare(backup, with: copy)
    let images = try guest.run("$floe images --state $state")
    #expect(images.contains("the snapshot livexfs/floe-") && images.contains("%"), "\(images)")
    try writeFile("\(guest.folder)/livexfs.stop", [])
    try writer.wait()
    let status = try backup.status()
    print("live XFS: \(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away")
    #expect(status.remaps > 0, "\(status)")
    #expect(status.errors == 0, "\(status)")
    #expect(status.bytes.storage > status.bytes.production_host, "\(status)")
    try backup.unmount()
    // No other snapshot of it is taken: its log was not replayed, and nothing tells that it rests.
    let other = try guest.run(
      """
      lvcreate -qq -y -s -pr -n other -L 16m livexfs/data
      $floe freeze livexfs/other -o /tmp/other.floe 2>&1 || true
      lvremove -qq -y livexfs/other
      """)
    #expect(other.contains("was not replayed"), "\(other)")
    try live.remove()
  }

  @Test("A directory of a busy ext4 on a thin volume is frozen by a thin snapshot")
  func liveExt4() throws {
    let guest = try #require(Guest.current)
    let live = try Live(
      "liveext", "ext4", megabytes: 96, on: guest,
      create: """
        lvcreate -qq -y -L 240m -c 64k --type thin-pool --thinpool pool liveext /dev/vda
        lvcreate -qq -y -V 96m -T liveext/pool -n data
        """)
    let writer = try live.startWriting()
    let part = try guest.run(
      "$floe freeze /srv/liveext/storage --name part --state $state 2>&1 || true")
    #expect(part.contains("freeze /srv/liveext"), "\(part)")
    try guest.run("$floe freeze /srv/liveext --name liveext --state $state")
    try live.slowDown()
    // As after the next start of the host, it is not active, and reads do without.
    let active = "lvs --noheadings -o lv_active -S 'lv_name=~^floe-' liveext"
    #expect(try !guest.run(active).contains("active"))
    let reference = try live.reference(options: "noload")
    try guest.run(
      "lvchange -qq -y -an $(lvs --noheadings -o lv_full_name -S 'lv_name=~^floe-' liveext)")
    try guest.serve()
    let backup = try guest.mount("liveext", options: ["--remap-timeout", "120"], name: "liveext")
    let copies = try guest.scratch.directory("liveext-copies")
    let metadata = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
    try run(
      "tar",
      ["-C", backup.mountpoint, "--format=posix", "--sparse"] + metadata
        + ["-cf", "\(copies)/tar", "."])
    try run("mkdir", ["\(copies)/unpacked"])
    try run("tar", ["-C", "\(copies)/unpacked"] + metadata + ["-xpf", "\(copies)/tar"])
    let odd = { (line: String) in line.contains("socket") || line.contains("links/fifo") }
    let unpacked = try Manifest(.copy, of: "\(copies)/unpacked")
    Manifest(lines: unpacked.lines.filter { !odd($0) }).expectSame(
      as: Manifest(lines: reference.lines.filter { !odd($0) }), "the copy by tar")
    try writeFile("\(guest.folder)/liveext.stop", [])
    try writer.wait()
    #expect(try backup.status().errors == 0)
    try backup.unmount()
    try live.remove()
  }

  @Test("A snapshot that may grow does while its origin is overwritten, and the image stays right")
  func growingSnapshot() throws {
    let guest = try #require(Guest.current)
    let live = try Live(
      "grows", "ext4", megabytes: 96, on: guest, create: "lvcreate -qq -y -n data -l 96 grows")
    try guest.run(
      "$floe freeze /srv/grows --name grows --snapshot-size 16m --extend --state $state")
    let reference = try live.reference(options: "noload")
    try guest.serve()
    let backup = try guest.mount("grows", options: ["--remap-timeout", "120"], name: "grows")
    // Twice up to where it grows, and never on before it did.
    try guest.run(
      """
      level() { lvs --noheadings --nosuffix --units m -o "$1" -S 'lv_name=~^floe-' grows | cut -d . -f 1; }
      number=0
      for size in 16 20; do
        until [ $(level data_percent) -ge 81 ]; do
          number=$((number + 1))
          head -c 500000 /dev/urandom >/srv/grows/fill$number
          sync -f /srv/grows
        done
        dd if=/dev/urandom of=/srv/grows/storage/fragmented bs=64k count=4 seek=$size conv=notrunc \\
          status=none
        until [ $(level lv_size) -gt $size ]; do sleep 0.5; done
      done
      """)
    let copy = try guest.scratch.directory("grows-copy")
    try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
    try Manifest(.copy, of: copy).expectSame(as: reference, "the copy by rsync")
    try compare(backup, with: copy)
    let shown = try run(Floe.program, ["status", backup.mountpoint])
    #expect(shown.contains("the snapshot grows/floe-") && shown.contains("is full to"), "\(shown)")
    let told = try run(Floe.program, ["status", backup.mountpoint, "--json"])
    #expect(told.contains("\"data_percent\""), "\(told)")
    #expect(try backup.status().errors == 0)
    try backup.unmount()
    try live.remove()
  }
}
