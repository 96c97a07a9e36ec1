import Testing

extension EndToEnd.InGuest {
  @Test("A thin snapshot is right while its origin is overwritten and the pool gives blocks away")
  func thinSnapshot() throws {
    let guest = try #require(Guest.current)
    let reference = try ext4(guest, megabytes: 96)
    try guest.run(
      """
      vgcreate -qq -y -s 1m thin /dev/vda /dev/vdb
      lvcreate -qq -y -L 240m -c 64k --type thin-pool --thinpool pool thin /dev/vda
      lvcreate -qq -y -V 96m -T thin/pool -n data
      dd if=/share/ext4.img of=/dev/thin/data bs=1M oflag=direct status=none
      mkdir -p /tmp/thin
      mount /dev/thin/data /tmp/thin
      lvcreate -qq -y -s -pr -kn -n snap thin/data
      lvchange -qq -ay thin/snap
      $floe freeze thin/snap --name thin --state $state
      """)
    try guest.serve()
    let backup = try guest.mount("thin", options: ["--remap-timeout", "120"], name: "thin")
    // A pool commits with each flush, or once in a second. In a guest an answer takes a part of
    // that; while the witness changes faster than answers come, reads go through the host.
    let writer = try startWriting("thin", bytes: 64 << 10, flushes: false, on: guest)
    let others = try startReusingThePool(on: guest)
    let copy = try guest.scratch.directory("thin-copy")
    try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
    try Manifest(.copy, of: copy).expectSame(as: Manifest(.copy, of: reference), "the copy")
    func turns() -> Int { others.output.split(separator: "\n").count { $0 == "turn" } }
    repeat {
      if let status = others.status { throw HarnessError("\(status): \(others.output)") }
      try compare(backup, with: copy)
    } while turns() < 4
    var status = try backup.status()
    print("thin snapshot: \(status.remaps) remaps, \(status.witness_checks) witness checks")
    // The blocks of a snapshot stay where they are; only others of the pool move.
    #expect(status.remaps == 0, "\(status)")
    try writeFile("\(guest.folder)/thin.stop", [])
    try others.wait()
    try writer.wait()
    // Until the pool itself moves.
    let move = try guest.start("pvmove -qq -i 1 /dev/vda /dev/vdb")
    try compare(backup, with: copy)
    try move.wait()
    try compare(backup, with: copy)
    status = try backup.status()
    print("thin snapshot, after pvmove: \(status.remaps) remaps")
    #expect(status.remaps > 0, "\(status)")
    #expect(status.errors == 0, "\(status)")
    #expect(status.bytes.storage > status.bytes.production_host, "\(status)")
    let volume = try guest.mount("thin", options: ["--view", "volume"], name: "thin-volume")
    let own = try guest.run("sha256sum </dev/thin/snap")
    #expect(try run("sh", ["-c", "sha256sum <\(volume.mountpoint)/data.img"]) == own)
    try volume.unmount()
    try expectNoByteOfAnother(backup, guest)
    try backup.unmount()
    try guest.run(
      "$floe thaw thin --state $state; vgremove -qq -y thin; pvremove -qq -y /dev/vd[ab]")
    try forget(reference)
  }

  /// Gives the snapshot's blocks to another volume: never a byte of that is read.
  private func expectNoByteOfAnother(_ backup: BackupHost, _ guest: Guest) throws {
    try guest.run(
      """
      lvremove -qq -y thin/snap
      lvcreate -qq -y -V 200m -T thin/pool -n reuse
      dd if=/dev/urandom of=/dev/thin/reuse bs=1M count=120 oflag=direct status=none
      """)
    try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
    let lost = try attempt("cat", ["\(backup.mountpoint)/storage/fragmented"])
    #expect(lost.errors.contains("Stale file handle"), "\(lost)")
  }

  /// Makes, fills and removes other volumes of the pool in turn, and trims the origin.
  private func startReusingThePool(on guest: Guest) throws -> Guest.Script {
    try guest.start(
      """
      until [ -e /share/thin.stop ]; do
        lvcreate -qq -y -V 40m -T thin/pool -n other
        dd if=/dev/urandom of=/dev/thin/other bs=1M count=40 oflag=direct status=none
        blkdiscard -o $((RANDOM % 90 * 1048576)) -l 4194304 /dev/thin/data
        sleep 4
        lvremove -qq -y thin/other
        echo turn
        sleep 4
      done
      """)
  }
}
