import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing

@testable import BtrfsProvider

extension BtrfsTests {
  /// What `Relocation.swift` explains: nothing that moved is ever left out of an
  /// answer, however the balance goes on between two questions.
  @Suite("btrfs relocation") struct RelocationTests {
    private static let files = 700

    /// Small nodes make a tree of many leaves; two profiles make balances that move
    /// everything, there and back.
    private func busyVolume(snapshots: Int) throws -> LoopVolume {
      let volume = try LoopVolume(devices: 2, size: "1G", format: "-n 4096 -d single -m raid1")
      try shell(
        """
        cd \(volume.mount); btrfs -q subvolume create s
        for i in $(seq \(Self.files)); do head -c $((i % 9 * 4096 + 5000)) /dev/urandom > s/f$i; done
        mkdir more; for i in $(seq \(snapshots)); do btrfs -q subvolume snapshot -r s more/$i; done
        """)
      return volume
    }

    private struct Known {
      let state: MappingState
      /// Where each file extent lay, by its first byte.
      let places: [FileKey: FileExtent]
    }

    @Test func namesEverythingThatMoved() throws {
      let volume = try busyVolume(snapshots: 40)
      let image = try DescribedImage(volume.path("s"))
      let mover = try Mover(
        """
        while :; do
          btrfs -q balance start -f -d -m \(volume.mount)
          head -c 3M /dev/urandom > \(volume.path("junk")); sync -f \(volume.mount)
        done
        """)
      defer { mover.stop() }
      let first = try image.files().map { try image.representation.attributes(of: $0.node).inode }
      let portion = Portion(inode: first.min() ?? 0, range: 0..<4096)
      var known: [Known] = []
      var moved = 0
      var missedByGeneration = 0
      var answers = 0
      var inRelocation = 0
      for round in 0..<40 {
        // The latest states, and some that are long past.
        for past in known.suffix(2) + known.prefix(round % 4) {
          let answer = try image.source.answer(image.question(since: past.state, [portion]))
          guard let located = answer.located.first else { continue }
          answers += 1
          let places = Self.places(in: located)
          let differing = past.places.keys.filter {
            located.keys.contains($0) && past.places[$0] != places[$0]
          }
          moved += differing.count
          let missed = differing.filter { !Self.contains(answer.changes, $0) }
          #expect(
            missed.isEmpty, "since \(past.state.cursor): \(missed.count) of \(differing.count)")
          missedByGeneration += try countMissedByGeneration(past, differing, image)
        }
        let answer = try image.source.answer(
          image.question(since: image.volume.state, [portion]))
        guard let located = answer.located.first else { continue }
        if let cursor = MappingCursor(bytes: answer.state.cursor), cursor.floor < cursor.generation
        {
          inRelocation += 1
        }
        known.append(Known(state: answer.state, places: Self.places(in: located)))
      }
      print(
        "relocation: \(known.count) states, \(inRelocation) with a reloc tree, \(answers) answers, \(moved) extents moved; the leaves' generation alone "
          + "would have missed \(missedByGeneration)")
      #expect(answers > 60)
      #expect(moved > 1000)
    }

    /// How many of the extents that moved a plain "newer than the known generation"
    /// would have missed.
    private func countMissedByGeneration(
      _ past: Known, _ differing: [FileKey], _ image: DescribedImage
    ) throws -> Int {
      guard let cursor = MappingCursor(bytes: past.state.cursor) else { return 0 }
      let subvolume = try OpenSubvolume(image.frozen)
      let changes = try Changes.since(
        floor: cursor.generation, inSubvolume: image.frozen.subvolumeID, subvolume.descriptor)
      return differing.count { !Self.contains(changes, $0) }
    }

    private static func places(in located: MappingAnswer.Located) -> [FileKey: FileExtent] {
      Dictionary(
        located.extents.map {
          (FileKey(inode: $0.inode, offset: $0.extent.offset), $0.extent)
        }, uniquingKeysWith: { first, _ in first })
    }

    private static func contains(_ changes: MappingAnswer.Changes, _ key: FileKey) -> Bool {
      switch changes {
      case .everything: true
      case .ranges(let ranges): ranges.contains { $0.contains(key) }
      }
    }

    @Test func describesWhileEverythingMoves() throws {
      let volume = try busyVolume(snapshots: 1)
      let mover = try Mover("while :; do btrfs -q balance start -d \(volume.mount); done")
      defer { mover.stop() }
      for _ in 0..<5 {
        let id = UniqueIdentifier.random()
        let frozen = try BtrfsFreezer(path: volume.path("s")).freeze(as: id)
        defer { try? BtrfsFreezer.thaw(frozen) }
        let representation = try DescribedImage.describe(frozen, as: id, of: volume.path("s"))
        let checksums = try checkChecksums(representation, frozen)
        #expect(checksums > Self.files)
      }
    }

    /// Whether every block has its checksum, and it is that of the snapshot's bytes.
    private func checkChecksums(
      _ representation: Representation, _ frozen: BtrfsImage
    ) throws -> Int {
      var count = 0
      for index in 1...Self.files {
        let name = Array("f\(index)".utf8)
        let node = try #require(
          try name.withUnsafeBytes {
            try representation.lookup($0, in: representation.roots[0].node)
          })
        var bytes = try contents(of: Array("\(frozen.snapshotPath)/f\(index)".utf8))
        let size = bytes.count
        bytes += [UInt8](repeating: 0, count: (4096 - size % 4096) % 4096)
        var blocks = 0
        for run in try representation.checksums(of: node, in: 0..<UInt64(size)) {
          for block in 0..<run.bytes.count / 4 {
            let start = Int(run.offset) + block * 4096
            let checksum = bytes[start..<start + 4096].withUnsafeBytes { CRC32C.checksum($0) }
            if checksum == run.bytes.number(at: block * 4, as: UInt32.self) { blocks += 1 }
          }
        }
        #expect(blocks == bytes.count / 4096, "f\(index)")
        count += blocks
      }
      return count
    }
  }
}

/// A shell script that runs until it is stopped.
final class Mover {
  private let child: pid_t

  init(_ script: String) throws {
    var child: pid_t = 0
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A process group of its own, so that what it started stops with it.
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    let words = ["/bin/sh", "-c", "exec >/dev/null 2>&1; " + script]
    var arguments = words.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    let failure = posix_spawn(&child, "/bin/sh", nil, &attributes, arguments, environ)
    guard failure == 0 else { throw CommandError(description: "cannot start sh: \(failure)") }
    self.child = child
  }

  /// Stops the script and waits until all of it is gone.
  func stop() {
    kill(-child, SIGTERM)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    // A balance ends at its next chance; its volume cannot be unmounted before.
    for _ in 0..<1000 where kill(-child, 0) == 0 { usleep(10_000) }
  }
}
