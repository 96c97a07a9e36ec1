import Glibc
import Testing

extension EndToEnd.InGuestAtLength {
  /// Thick snapshots, and thin ones, of two volumes of which a part was overwritten since: the
  /// chunks of that part lie where only the snapshots have them.
  private static let snapshots = """
    vgcreate -qq -y -s 1m ends /dev/vda /dev/vdb
    lvcreate -qq -y -n data -l 32 ends /dev/vda
    lvcreate -qq -y -L 96m -c 64k --type thin-pool --thinpool pool ends /dev/vda
    lvcreate -qq -y -V 32m -T ends/pool -n thin
    for volume in data thin; do
      dd if=/share/ext4.img of=/dev/ends/$volume bs=1M oflag=direct status=none
    done
    lvcreate -qq -y -s -pr -n merged -L 36m ends/data /dev/vda /dev/vdb
    lvcreate -qq -y -s -n written -L 36m ends/data /dev/vdb
    lvcreate -qq -y -s -pr -kn -n thinmerged ends/thin
    lvcreate -qq -y -s -kn -n thinwritten ends/thin
    """

  /// What is said of a snapshot that can be written now, or could be in between.
  private static let written = ["may be written, so it is not frozen", "could be written since"]
  /// What is said of one while its origin takes it back, and afterwards.
  private static let merged = ["takes back", "was merged into its origin"]

  @Test(
    "A snapshot that is merged, or could be written, is refused and ends its reads: no wrong byte")
  func endedSnapshots() throws {
    let guest = try #require(Guest.current)
    let reference = try shared.ext4(guest, megabytes: 32) { tree in
      for number in 0..<8 { try tree.writer.random("file\(number)", bytes: 2 << 20) }
    }
    try freezeSnapshots(on: guest)
    try guest.serve()
    // It can be written for a moment only: afterwards it looks as it did, and what was written
    // is no superblock. Of a thin one the chunks lie elsewhere afterwards, which is seen as well.
    for (name, sentences) in [
      ("written", Self.written), ("thinwritten", Self.written + ["is not what was frozen"]),
    ] {
      try expectEnd(of: name, as: reference, on: guest, saying: sentences) {
        """
        lvchange -qq -prw ends/\(name)
        dd if=/dev/urandom of=/dev/ends/\(name) bs=1M count=26 seek=4 oflag=direct status=none
        lvchange -qq -pr ends/\(name)
        """
      }
    }
    // An origin that is in use takes its snapshot back when it is activated next. What the
    // snapshot had in its store is there again, and is overwritten; so is the store.
    try expectEnd(of: "merged", as: reference, on: guest, saying: Self.merged) {
      """
      \(mergeLater("data", "merged"))
      lvcreate -qq -y -n waste -l 36 ends
      dd if=/dev/urandom of=/dev/ends/waste bs=1M oflag=direct status=none || true
      dd if=/dev/urandom of=/dev/ends/data bs=1M oflag=direct status=none || true
      """
    }
    try expectEnd(
      of: "thinmerged", as: reference, on: guest, saying: Self.merged
    ) {
      """
      \(mergeLater("thin", "thinmerged"))
      dd if=/dev/urandom of=/dev/ends/thin bs=1M oflag=direct status=none || true
      """
    }
    try guest.run(
      """
      for name in merged written thinmerged thinwritten; do $floe thaw $name --state $state; done
      vgremove -qq -y ends
      pvremove -qq -y /dev/vd[ab]
      """)
    try shared.forget(reference)
  }

  /// Makes the snapshots and freezes them; those that may be written are refused before.
  private func freezeSnapshots(on guest: Guest) throws {
    let refused = try guest.run(
      """
      \(Self.snapshots)
      for name in written thinwritten; do
        $floe freeze ends/$name --name $name --state $state 2>&1 && exit 1
        lvchange -qq -pr ends/$name
      done
      for volume in data thin; do
        dd if=/dev/urandom of=/dev/ends/$volume bs=1M count=16 oflag=direct status=none
      done
      for name in merged written thinmerged thinwritten; do
        $floe freeze ends/$name --name $name --state $state >/dev/null
      done
      """)
    for sentence in [
      "ends/written is a snapshot that may be written, so it is not frozen",
      "ends/thinwritten is a thin volume that may be written, so it is not frozen",
    ] { #expect(refused.contains(sentence), "\(refused)") }
  }

  /// A shell script that merges a snapshot while its origin is open, has floe refuse it, and
  /// starts the origin anew, which merges it.
  private func mergeLater(_ origin: String, _ snapshot: String) -> String {
    """
    export LVM_SUPPRESS_FD_WARNINGS=1
    exec 5</dev/ends/\(origin)
    lvconvert -qq -y --merge ends/\(snapshot)
    $floe freeze ends/\(snapshot) --name again --state $state 2>&1 | tee /share/refused || true
    grep -q 'its origin.* takes back' /share/refused
    exec 5<&-
    lvchange -qq -an ends/\(origin)
    lvchange -qq -ay --config activation/polling_interval=1 ends/\(origin)
    while lvs ends/\(snapshot) >/dev/null 2>&1; do sleep 0.5; done
    """
  }

  /// Reads a mounted image while a script of the guest ends it: what comes is right, and at
  /// last nothing comes, for the reason that floe tells.
  private func expectEnd(
    of image: String, as reference: String, on guest: Guest, saying sentences: [String],
    by script: () -> String
  ) throws {
    let backup = try guest.mount(image, options: ["--remap-timeout", "120"], name: image)
    var verifier = try Verifier(
      reference: reference, mount: backup.mountpoint, files: (0..<8).map { "file\($0)" })
    var tally = try verifier.read(pieces: 50)
    #expect(tally.right == 50, "\(image): \(tally)")
    let ending = try guest.start(script())
    while ending.status == nil {
      tally = try verifier.read(pieces: 20)
      usleep(50_000)
    }
    try ending.wait()
    tally = try verifier.read(pieces: 50)
    #expect(tally.failed == [ESTALE: 50], "\(image): \(tally)")
    let status = try attempt(Floe.program, ["status", backup.mountpoint])
    #expect(status.ending == .exited(2), "\(status)")
    #expect(sentences.contains { status.output.contains($0) }, "\(status)")
    try backup.unmount()
  }
}
