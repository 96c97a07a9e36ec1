import Glibc
import TestTags
import Testing

/// A freeze by lvm2's snapshot that is killed at one of its steps.
private struct InterruptedFreeze {
  let guest: Guest

  /// Makes a file system on a group whose metadata lie on a slow device: so the commit, during
  /// which the origin is suspended, takes long enough to be met for sure.
  init(on guest: Guest) throws {
    self.guest = guest
    try writeFile("\(guest.folder)/catch.py", Array(Self.catcher.utf8))
    try guest.run(
      """
      modprobe dm-delay
      dmsetup create slow --table "0 32768 delay /dev/vdb 2048 0"
      dmsetup mknodes slow
      pvcreate -qq -y /dev/mapper/slow
      pvcreate -qq -y --metadatacopies 0 /dev/vda
      vgcreate -qq -y -s 1m killed /dev/mapper/slow /dev/vda
      pvchange -qq -xn /dev/mapper/slow
      lvcreate -qq -y -n data -l 64 killed
      mkfs.ext4 -q /dev/killed/data
      mkdir -p /srv/killed
      mount /dev/killed/data /srv/killed
      for number in {1..200}; do echo $number >/srv/killed/$number; done
      """)
  }

  /// Freezes, kills what the step says, and looks at what is left.
  ///
  /// - Returns: what floe said, and the looks.
  func kill(at step: String) throws -> String {
    try guest.run(
      """
      delay() {
        dmsetup reload slow --table "0 32768 delay /dev/vdb 2048 0 /dev/vdb 2048 $1"
        dmsetup resume slow
      }
      delay 150
      $floe freeze /srv/killed --name killed --state $state >/tmp/said 2>&1 & freeze=$!
      python3 /share/catch.py \(step) $freeze
      ended=0
      wait $freeze || ended=$?
      delay 0
      cat /tmp/said
      echo "floe ended with $ended"
      $floe images --state $state
      if [ \(step) != everything ]; then
        timeout 60 dd if=/dev/zero of=/srv/killed/written bs=4k count=1 conv=fsync status=none
      fi
      $floe thaw killed --state $state || true
      timeout 60 dd if=/dev/zero of=/srv/killed/written bs=4k count=1 conv=fsync status=none
      echo "writes go on"
      lvs --noheadings -o lv_name killed | grep floe && exit 1
      grep -s 1 /sys/class/block/dm-*/dm/suspended && exit 1
      $floe images --state $state | grep . && exit 1
      true
      """)
  }

  func remove() throws {
    try guest.run(
      """
      umount /srv/killed
      vgremove -qq -y killed
      pvremove -qq -y /dev/vda /dev/mapper/slow
      dmsetup remove slow
      rm -f /dev/mapper/slow
      """)
  }

  /// Waits for a step of a freeze and kills then; fails when the freeze ends before.
  private static let catcher = """
    import glob, os, signal, sys, time
    step, floe = sys.argv[1], int(sys.argv[2])

    def words(process):
        try: return open("/proc/%s/cmdline" % process, "rb").read().split(b"\\0")
        except OSError: return []

    def running(word):
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and word in words(p)[:2]]

    def until(what, look):
        while True:
            found = look()
            if found:
                print(what, flush=True)
                return found
            if not os.path.exists("/proc/%d/exe" % floe):
                sys.exit("the freeze ended before: " + what)
            time.sleep(0.002)

    def kill(*processes):
        for process in processes: os.kill(process, signal.SIGKILL)

    device = os.stat("/dev/killed/data").st_rdev
    state = "/sys/dev/block/%d:%d/dm/suspended" % (os.major(device), os.minor(device))

    guard = until("the guard runs", lambda: running(b"snapshot-guard"))[0]
    if step == "guard": kill(floe)
    elif step == "made":
        until("the snapshot is made", lambda: glob.glob("/dev/mapper/killed-floe*")
              and not running(b"lvcreate") and not running(b"snapshot-guard"))
        kill(floe)
    else:
        maker = until("lvcreate runs", lambda: running(b"lvcreate"))[0]
        until("the origin is suspended", lambda: open(state).read(1) == "1")
        if step == "floe": kill(floe)
        if step == "lvcreate": kill(maker)
        if step == "guard-suspended": kill(guard)
        if step == "both": kill(guard, maker)
        if step == "stuck":
            os.kill(maker, signal.SIGSTOP)
            kill(guard)
            until("the origin goes on", lambda: open(state).read(1) == "0")
            os.kill(maker, signal.SIGCONT)
        if step == "everything":
            kill(floe, guard, maker)
            time.sleep(1)
            if open(state).read(1) != "1": sys.exit("somebody let the origin go on")
    print("killed at the step " + step)
    """
}

extension InterruptedFreeze {
  /// floe alone: its guard and lvm2 go on, and what they make is an orphan.
  fileprivate func expectOrphan(killedAt step: String) throws {
    let seen = try kill(at: step)
    #expect(seen.contains("killed at the step \(step)"), "\(seen)")
    #expect(seen.contains("orphan") && seen.contains("thawed"), "\(step): \(seen)")
  }

  /// floe lives: it takes everything back, and says why.
  fileprivate func expectTakenBack(killedAt step: String) throws {
    let seen = try kill(at: step)
    #expect(seen.contains("killed at the step \(step)"), "\(seen)")
    #expect(seen.contains("floe ended with 1"), "\(step): \(seen)")
    #expect(seen.contains("there is no image"), "\(step): \(seen)")
  }
}

extension EndToEnd.InGuest {
  @Test("Killed in the middle, a freeze leaves nothing that stays, and nobody waits for ever")
  func killedFreeze() throws {
    let freeze = try InterruptedFreeze(on: #require(Guest.current))
    for step in ["floe", "made"] { try freeze.expectOrphan(killedAt: step) }
    try freeze.expectTakenBack(killedAt: "both")
    // Nobody is left: images says that writes stand still, and thaw has them go on.
    let seen = try freeze.kill(at: "everything")
    #expect(seen.contains("killed at the step everything"), "\(seen)")
    #expect(seen.contains("is suspended and nobody is at it"), "\(seen)")
    #expect(seen.contains("orphan") && seen.contains("thawed"), "\(seen)")
    try freeze.remove()
  }
}

extension EndToEnd.InGuestAtLength {
  @Test("Killed at each other step, a freeze leaves nothing that stays either")
  func killedFreeze() throws {
    let freeze = try InterruptedFreeze(on: #require(Guest.current))
    try freeze.expectOrphan(killedAt: "guard")
    // An lvcreate that is stuck has lost its guard, and floe lets the origin go on.
    for step in ["lvcreate", "guard-suspended", "stuck"] {
      try freeze.expectTakenBack(killedAt: step)
    }
    try freeze.remove()
  }
}
