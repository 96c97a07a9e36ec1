import FrozenImage
import TestTags
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension EndToEnd {
  /// In which order the guest's kernel writes what floe's witness of a snapshot stands on:
  /// recorded by dm-log-writes below the snapshot, and replayed write by write with floe's own
  /// parsers. A log without the writes that tell of changes has to be found wrong.
  ///
  /// Not in the default run: `mount-scripts/test litmus-guest`.
  @Suite(
    "Litmus in a guest", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsGuest, .slow),
    .serialized, .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [80, 256]))
  struct LitmusInGuest {
    @Test("At no prefix of its writes does a thick snapshot show a byte of its origin's present")
    func thick() throws {
      let guest = try #require(Guest.current)
      try guest.run(
        """
        \(Self.writes)
        device lw "0 22528 log-writes /dev/vda /dev/vdb"
        device base "0 16384 linear /dev/mapper/lw 0"
        device store "0 6144 linear /dev/mapper/lw 16384"
        dd if=/dev/urandom of=/dev/mapper/base bs=1M count=8 oflag=direct status=none
        dd if=/dev/zero of=/dev/mapper/store bs=1M count=3 oflag=direct status=none
        device snap "0 16384 snapshot /dev/mapper/base /dev/mapper/store P 8"
        device origin "0 16384 snapshot-origin /dev/mapper/base"
        freeze
        # More than the store has room for: at the end it overflows.
        writes /dev/mapper/origin 4096 1000
        for name in origin snap store base lw; do dmsetup remove $name; done
        """)
      let outcome = try replay(.thick, on: guest, leastStates: 700, leastReused: 700)
      #expect(outcome.isGone, "it does not overflow: \(outcome)")
    }

    @Test("At no prefix of its writes does a thin snapshot show a block that was given away")
    func thin() throws {
      let guest = try #require(Guest.current)
      try guest.run(
        """
        \(Self.writes)
        tell() { dmsetup message pool 0 "$1"; }
        volume() { device thin$1 "0 ${2:-32768} thin /dev/mapper/pool $1"; }
        fill() { dd if=/dev/urandom of=/dev/mapper/thin$1 bs=1M count=$2 oflag=direct status=none; }
        device lw "0 139264 log-writes /dev/vda /dev/vdb"
        device meta "0 8192 linear /dev/mapper/lw 0"
        device data "0 131072 linear /dev/mapper/lw 8192"
        dd if=/dev/zero of=/dev/mapper/meta bs=1M count=4 oflag=direct status=none
        device pool \\
          "0 131072 thin-pool /dev/mapper/meta /dev/mapper/data 128 0 1 skip_block_zeroing"
        tell "create_thin 0"
        volume 0
        fill 0 16
        dmsetup suspend thin0
        tell "create_snap 1 0"
        dmsetup resume thin0
        dd if=/dev/urandom of=/dev/mapper/thin0 bs=64k count=1 oflag=direct,dsync status=none
        freeze
        for turn in 2 3; do
          writes /dev/mapper/thin0 65536 60
          tell "create_thin $turn"
          volume $turn
          fill $turn 8
          blkdiscard -o 2097152 -l 4194304 /dev/mapper/thin0
          dmsetup remove thin$turn
          tell "delete $turn"
        done
        # No block is the origin's as well.
        fill 0 16
        tell "delete 1"
        # All that the pool has left: so the snapshot's blocks are given away, too.
        tell "create_thin 4"
        volume 4 98304
        fill 4 46
        for name in thin4 thin0 pool data meta lw; do dmsetup remove $name; done
        """)
      try replay(.thin, on: guest, leastStates: 20, leastReused: 200)
      // The pool is not in use any more: of what is left in it floe reads what thin_dump reads.
      let size = 4 << 20
      let metadata = "\(guest.scratch.path)/thin-metadata"
      try run(
        "dd", ["if=\(guest.disks[0])", "of=\(metadata)", "bs=\(size)", "count=1", "status=none"])
      let medium = ReplayedMedium(size: size)
      _ = medium.apply(.write(offset: 0, bytes: try readFile(metadata)[...]))
      for device in [0, 4] {
        try ThinDump(metadata, device: device).expectSame(
          as: medium, size: size, device: UInt64(device))
      }
    }

    @discardableResult
    private func replay(
      _ snapshot: LoggedSnapshot, on guest: Guest, leastStates: Int, leastReused: Int
    ) throws -> SnapshotOrder.Outcome {
      let log = try WriteLog(readFile(guest.disks[1]))
      let outcome = try SnapshotOrder.replay(log, of: snapshot)
      print("litmus, \(snapshot.name): \(outcome)")
      #expect(outcome.violations.isEmpty, "\(outcome)")
      // Else nothing was looked at.
      #expect(outcome.prefixes > 1000 && outcome.states >= leastStates, "\(outcome)")
      #expect(outcome.reused >= leastReused, "\(outcome)")
      let broken = try SnapshotOrder.replay(log, of: snapshot, dropsWitness: true)
      print("litmus, \(snapshot.name), without the writes that tell: \(broken)")
      #expect(!broken.violations.isEmpty, "\(broken)")
      try guest.run("dd if=/dev/zero of=/dev/vdb bs=1M count=1 oflag=direct status=none")
      return outcome
    }

    /// `freeze`: has all that was written in the log, and marks it. `writes`: so many blocks of
    /// a device, no place twice; every tenth is waited for on the medium.
    private static let writes = """
      modprobe -a dm-log-writes dm-snapshot dm-thin-pool
      # There is no udev that makes the node.
      device() { dmsetup create --noudevrules --noudevsync "$1" --table "$2"; dmsetup mknodes "$1"; }
      freeze() {
        python3 -c "import os; os.fsync(os.open('/dev/mapper/lw', os.O_RDWR))"
        dmsetup message lw 0 mark frozen
      }
      writes() {
        python3 - "$@" <<'END'
      import mmap, os, random, sys
      path, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
      files = [os.open(path, os.O_WRONLY | os.O_DIRECT | flag) for flag in (0, os.O_DSYNC)]
      places = os.lseek(files[0], 0, os.SEEK_END) // size
      buffer = mmap.mmap(-1, size)
      for number, place in enumerate(random.sample(range(places), min(count, places))):
          buffer[:] = os.urandom(size)
          os.pwritev(files[number % 10 == 0], [buffer], place * size)
      END
      }
      """
  }
}

extension LoggedSnapshot {
  /// A dm-snapshot: 8 MiB of its origin, and its store of 3 MiB behind.
  fileprivate static var thick: LoggedSnapshot {
    let (chunk, origin, store) = (4096, 8 << 20, 3 << 20)
    let perArea = chunk / 16
    return LoggedSnapshot(
      name: "thick", size: origin + store, chunk: chunk,
      map: { medium in
        try SnapshotRuns(
          SnapshotRuns.Description(
            title: "snapshot", size: UInt64(origin), origin: medium.part("origin", 0..<origin),
            store: medium.part("store", origin..<origin + store), looks: 1)
        ).map()
      },
      isWitness: { range in
        let number = (range.lowerBound - origin) / chunk
        return range.lowerBound >= origin && (number == 0 || (number - 1) % (perArea + 1) == 0)
      },
      // When the store overflows, the kernel marks it invalid without a flush, and lets the
      // write to the origin go on: of chunks that were not copied, once the store is full (but
      // for one that was copied and not noted).
      isKernelsGap: { map, place in
        let copied = map.runs.reduce(into: 0) { count, run in
          guard case .below(let placement) = run.content, placement.targets.first?.layer == 1 else {
            return
          }
          count += run.range.count / chunk
        }
        let next = 2 + copied + copied / perArea
        return place < origin && (next + 2) * chunk > store
      })
  }

  /// A thin pool: 4 MiB of its metadata, and its data behind; volume 1 is the snapshot.
  fileprivate static var thin: LoggedSnapshot {
    let (chunk, metadata, data) = (64 << 10, 4 << 20, 64 << 20)
    return LoggedSnapshot(
      name: "thin", size: metadata + data, chunk: chunk,
      map: { medium in
        try ThinRuns(
          ThinRuns.Description(
            title: "snapshot", pool: "pool", size: 16 << 20, device: 1, chunkSize: UInt64(chunk),
            data: medium.part("data", metadata..<metadata + data),
            metadata: medium.part("metadata", 0..<metadata))
        ).map()
      },
      isWitness: { $0.lowerBound < 4096 }, isKernelsGap: { _, _ in false })
  }
}
