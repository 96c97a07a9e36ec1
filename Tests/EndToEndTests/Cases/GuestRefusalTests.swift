import Testing

extension EndToEnd.InGuestAtLength {
  private static let sentences = [
    "old/core has a segment (segment1) of type mirror, which floe cannot map",
    "old/disk has a segment (segment1) of type mirror, which floe cannot map",
    "only the kernel knows which leg is in sync; lvconvert --type raid1 changes that",
    "holds an XFS file system, which floe reads where the kernel has it mounted",
    "mount it, and freeze a directory of it",
  ]

  /// A shell function that has floe refuse to freeze something.
  private static let refuse =
    "refuse() { $floe freeze \"$@\" --name refused --state $state 2>&1 && exit 1; true; }"

  @Test("A snapshot on an md mirror that is written all the time is refused until that rests")
  func busyMirror() throws {
    let guest = try #require(Guest.current)
    let refused = try guest.run(
      """
      modprobe raid1
      printf 'label: gpt\\nsize=60M\\nsize=60M\\n' | sfdisk -q /dev/vda
      \(Self.refuse)
      mdadm --quiet --create /dev/md3 --level=1 --raid-devices=2 --size=56M --run \\
        /dev/vda1 /dev/vda2 </dev/null
      mdadm --wait /dev/md3 || true
      vgcreate -qq -y -s 1m busy /dev/md3
      lvcreate -qq -y -n data -l 16 busy
      lvcreate -qq -y -n other -l 4 busy
      mkfs.ext4 -q /dev/busy/data
      lvcreate -qq -y -s -pr -n snap -l 8 busy/data
      python3 - <<'END' & writer=$!
      import mmap, os
      device = os.open("/dev/busy/other", os.O_WRONLY | os.O_DIRECT)
      buffer = mmap.mmap(-1, 4096)
      while not os.path.exists("/share/refusals.stop"): os.pwrite(device, buffer, 0)
      END
      sleep 1
      refuse busy/snap
      touch /share/refusals.stop
      wait $writer
      until grep -q clean /sys/block/md3/md/array_state; do sleep 0.2; done
      $floe freeze busy/snap --name rests --state $state
      $floe thaw rests --state $state
      vgremove -qq -y busy
      mdadm --quiet --stop /dev/md3
      mdadm --quiet --zero-superblock /dev/vda1 /dev/vda2
      wipefs -qa /dev/vda1 /dev/vda2 /dev/vda
      """)
    let sentence =
      "are not in sync (being synchronised, or in use and not clean): freeze it when they are"
    #expect(refused.contains(sentence) && refused.contains("rests "), "\(refused)")
  }

  @Test("Old mirrors and an XFS at rest are refused by name, with what to do instead")
  func unprovenVolumes() throws {
    let guest = try #require(Guest.current)
    let refused = try guest.run(
      """
      \(Self.refuse)
      vgcreate -qq -y -s 1m old /dev/vdb /dev/vda
      lvcreate -qq -y --type mirror -m 1 --mirrorlog core -n core -L 8m old
      lvcreate -qq -y --type mirror -m 1 --mirrorlog disk --alloc anywhere -n disk -L 8m old
      for name in core disk; do
        mkfs.ext4 -q /dev/old/$name
        refuse old/$name
      done
      # An XFS at rest, which no superblock of its own guards; read-only it is frozen.
      lvcreate -qq -y -n rest -l 304 old
      mkfs.xfs -q /dev/old/rest
      mkdir -p /srv/rest
      mount /dev/old/rest /srv/rest
      echo some >/srv/rest/file
      umount /srv/rest
      refuse old/rest
      mount -o ro /dev/old/rest /srv/rest
      $floe freeze /srv/rest --name rest --state $state
      $floe thaw rest --state $state
      umount /srv/rest
      vgremove -qq -y old
      pvremove -qq -y /dev/vdb /dev/vda
      """)
    for sentence in Self.sentences {
      #expect(refused.contains(sentence), "\(sentence):\n\(refused)")
    }
    #expect(refused.contains("rest "), "\(refused)")
  }
}
