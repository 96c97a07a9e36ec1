import Testing

extension EndToEnd.InGuest {
  @Test("rsync of an ext4 on a raid1 shows it while a leg fails, is removed and is rebuilt")
  func raid() throws {
    let guest = try #require(Guest.current)
    let reference = try ext4(guest, megabytes: 64)
    try guest.run(
      """
      modprobe dm-raid
      vgcreate -qq -y -s 1m raid /dev/vda /dev/vdb
      lvcreate -qq -y --type raid1 -m 1 -n data -L 64m raid /dev/vda /dev/vdb
      dd if=/dev/urandom of=/dev/raid/data bs=1M count=60 oflag=direct status=none
      until lvs --noheadings -o sync_percent raid/data | grep -q 100; do sleep 0.5; done
      \(Self.legs)
      break_leg 1
      dd if=/share/ext4.img of=/dev/raid/data bs=1M oflag=direct status=none
      mend_leg 1
      dmsetup status raid-data | grep -q ' AD '
      $floe freeze raid/data --name raid --state $state
      """)
    try guest.serve()
    let backup = try guest.mount("raid", options: ["--remap-timeout", "120"], name: "raid")
    // The other leg is there again, with other bytes and a superblock that calls it whole.
    try compare(backup, with: reference)
    try guest.run("vgchange -qq --addtag asked raid")
    try compare(backup, with: reference)
    // A block is written back as it is, so that the kernel finds out; no byte changes.
    let mover = try guest.start(
      """
      written() { dd if=/dev/raid/data of=/dev/raid/data bs=4k count=1 oflag=direct conv=notrunc status=none; }
      \(Self.legs)
      lvchange -qq --refresh raid/data
      until lvs --noheadings -o sync_percent raid/data | grep -q 100 &&
        dmsetup status raid-data | grep -q ' AA '; do sleep 0.5; done
      echo refreshed
      for disk in /dev/vdb /dev/vda; do
        leg=$([ $disk = /dev/vdb ] && echo 1 || echo 0)
        break_leg $leg
        written
        echo failed $(dmsetup status raid-data)
        spoil_leg $leg $disk
        sleep 2
        mend_leg $leg
        lvconvert -qq -y -m 0 raid/data $disk
        lvcreate -qq -y -n waste -L 90m raid $disk
        dd if=/dev/urandom of=/dev/raid/waste bs=1M count=90 oflag=direct status=none
        lvremove -qq -y raid/waste
        echo removed
        sleep 2
        lvconvert -qq -y --type raid1 -m 1 raid/data $disk
        until lvs --noheadings -o sync_percent raid/data | grep -q 100; do sleep 0.5; done
        echo rebuilt
        sleep 2
      done
      """)
    try copy(backup, of: reference, as: "raid", while: mover)
    #expect(mover.output.split(separator: "\n").count { $0 == "rebuilt" } == 2)
    #expect(mover.output.contains("AD ") || mover.output.contains("DA "), "\(mover.output)")
    try backup.unmount()
    try guest.run(
      "$floe thaw raid --state $state; vgremove -qq -y raid; pvremove -qq -y /dev/vd[ab]")
    try forget(reference)
  }

  /// Shell functions that take a leg's path away and give it back, as it was.
  private static let legs = """
    break_leg() {
      for part in rmeta rimage; do
        map=raid-data_${part}_$1
        dmsetup table $map >/tmp/$map
        dmsetup load $map --table "0 $(cut -d' ' -f2 /tmp/$map) error"
        dmsetup suspend --noflush --nolockfs $map
        dmsetup resume $map
      done
    }
    # The disk holds other bytes where a leg of 64 MiB lies.
    spoil_leg() {
      start=$(cut -d' ' -f5 /tmp/raid-data_rimage_$1)
      dd if=/dev/urandom of=$2 bs=1M count=64 seek=$((start * 512)) oflag=direct,seek_bytes \\
        conv=notrunc status=none
    }
    mend_leg() {
      for part in rmeta rimage; do
        map=raid-data_${part}_$1
        dmsetup load $map --table "$(cat /tmp/$map)"
        dmsetup suspend --noflush --nolockfs $map
        dmsetup resume $map
      done
    }
    """

  @Test("rsync of an ext4 on an md array shows it while members are replaced")
  func mdArray() throws {
    let guest = try #require(Guest.current)
    let reference = try ext4(guest, megabytes: 64)
    try guest.run(
      """
      modprobe raid1
      printf 'label: gpt\\nsize=80M\\nsize=80M\\n' | sfdisk -q /dev/vda
      mdadm --quiet --create /dev/md0 --level=1 --raid-devices=2 --size=65M --run \\
        /dev/vda1 /dev/vdb </dev/null
      dd if=/dev/urandom of=/dev/md0 bs=1M oflag=direct status=none || true
      mdadm --wait /dev/md0 || true
      # One of them misses all that counts.
      mdadm --quiet /dev/md0 --fail /dev/vdb
      until mdadm --quiet /dev/md0 --remove /dev/vdb; do sleep 0.5; done
      dd if=/share/ext4.img of=/dev/md0 bs=1M oflag=direct status=none
      sleep 1
      $floe freeze /dev/md0 --name md --state $state
      """)
    try guest.serve()
    let backup = try guest.mount("md", options: ["--remap-timeout", "120"], name: "md")
    try compare(backup, with: reference)
    let mover = try guest.start(
      """
      mdadm --quiet /dev/md0 --add /dev/vdb
      mdadm --wait /dev/md0 || true
      old=/dev/vda1 new=/dev/vda2
      for turn in 1 2; do
        mdadm --quiet /dev/md0 --add $new
        mdadm --quiet /dev/md0 --replace $old --with $new
        mdadm --wait /dev/md0 || true
        until mdadm --quiet /dev/md0 --remove $old; do sleep 0.5; done
        dd if=/dev/urandom of=$old bs=1M count=75 oflag=direct status=none
        echo replaced
        sleep 2
        other=$old old=$new new=$other
      done
      """)
    try copy(backup, of: reference, as: "md", while: mover)
    #expect(mover.output.split(separator: "\n").count { $0 == "replaced" } == 2)
    try backup.unmount()
    try guest.run(
      """
      $floe thaw md --state $state
      mdadm --quiet --stop /dev/md0
      mdadm --quiet --zero-superblock /dev/vda1 /dev/vdb
      wipefs -qa /dev/vda1 /dev/vda2 /dev/vda /dev/vdb
      """)
    try forget(reference)
  }

  /// Copies an image while a mover works, and then reads it again until the mover has ended.
  private func copy(
    _ backup: BackupHost, of reference: String, as name: String, while mover: Guest.Script
  ) throws {
    let guest = mover.guest
    let copy = try guest.scratch.directory("\(name)-copy")
    try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
    try Manifest(.copy, of: copy).expectSame(as: Manifest(.copy, of: reference), "the copy")
    while mover.status == nil { try compare(backup, with: copy) }
    try mover.wait()
    try compare(backup, with: copy)
    let status = try backup.status()
    print("\(name): \(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away")
    #expect(status.remaps >= 3, "\(status)")
    #expect(status.errors == 0, "\(status)")
    #expect(status.bytes.storage > status.bytes.production_host, "\(status)")
  }
}
