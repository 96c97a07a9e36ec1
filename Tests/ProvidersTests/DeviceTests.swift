import FrozenImage
import Glibc
import ImageReader
import Testing

@testable import BtrfsProvider

extension BtrfsTests {
  /// Devices that come, go, change places and fall behind.
  @Suite("btrfs devices") struct DeviceTests {
    private func frozenImage(on volume: LoopVolume) throws -> DescribedImage {
      try shell(
        """
        cd \(volume.mount); btrfs -q subvolume create s; head -c 3M /dev/urandom > s/a; sync
        """)
      return try DescribedImage(volume.path("s"))
    }

    private func commit(_ volume: LoopVolume) throws {
      try shell("date +%N > \(volume.path("clock")); btrfs filesystem sync \(volume.mount)")
    }

    @Test func theWitnessIsWhatTheMediaShow() throws {
      let volume = try LoopVolume(devices: 2, format: "-d raid1 -m raid1")
      let image = try frozenImage(on: volume)
      try commit(volume)
      let state = try image.source.answer(image.question(since: image.volume.state)).state
      for medium in image.volume.media {
        let probe = try #require(medium.witness?.windows.first)
        let shown = try volume.images.compactMap { path in
          try window(path, probe).withUnsafeBytes { bytes in
            medium.identity.windows[0].extract(from: bytes) == medium.identityBytes
              ? probe.extract(from: bytes) : nil
          }
        }
        #expect(shown.count == 1)
        #expect(shown.first == state.configurationID[medium.id])
      }
      // Nothing moved: nothing may have changed, though the witness did.
      #expect(state.configurationID != image.volume.state.configurationID)
      let answer = try image.source.answer(image.question(since: image.volume.state))
      #expect(answer.changes == .ranges([]))
      #expect(answer.behind.isEmpty)
    }

    private func window(_ path: String, _ probe: Probe.Window) throws -> [UInt8] {
      let file = open(path, O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      var bytes = [UInt8](repeating: 0, count: probe.length)
      guard pread(file, &bytes, bytes.count, off_t(probe.offset)) == bytes.count else {
        throw CommandError(description: "short read of \(path)")
      }
      return bytes
    }

    @Test func anOlderWitnessThanTheKnownStateIsBehind() throws {
      let volume = try LoopVolume(devices: 2, format: "-d raid1 -m raid1")
      let image = try frozenImage(on: volume)
      try commit(volume)
      let now = try image.source.answer(image.question(since: image.volume.state)).state
      let old = image.volume.state.configurationID.entries[0]
      let stranger = ConfigurationID.Entry(
        medium: MediumID(rawValue: .random()), bytes: now.configurationID.entries[0].bytes)
      let torn = ConfigurationID.Entry(
        medium: now.configurationID.entries[1].medium, bytes: [1, 2, 3])
      let answer = try image.source.answer(
        MappingQuestion(
          known: now, found: ConfigurationID(entries: [old, stranger, torn]), portions: []))
      #expect(answer.behind == [old.medium, stranger.medium, torn.medium])
    }

    @Test func aDeviceThatLagsIsLeftOutOfTheState() throws {
      let volume = try LoopVolume(devices: 2, format: "-d raid1 -m raid1")
      let image = try frozenImage(on: volume)
      let disk = volume.images[1]
      try shell(
        """
        dd if=\(disk) of=\(volume.directory)/old bs=4096 skip=16 count=1 status=none
        date +%N > \(volume.path("clock")); btrfs filesystem sync \(volume.mount)
        dd if=\(volume.directory)/old of=\(disk) bs=4096 seek=16 conv=notrunc status=none
        """)
      let answer = try image.source.answer(image.question(since: image.volume.state))
      #expect(answer.state.configurationID.entries.count == 1)
      #expect(answer.behind.count == 1)
      #expect(answer.behind.allSatisfy { answer.state.configurationID[$0] == nil })
      try commit(volume)
      let later = try image.source.answer(image.question(since: answer.state))
      #expect(later.state.configurationID.entries.count == 2)
      #expect(later.volume?.media.count == 2)
    }

    @Test func aRemovedDeviceLeavesTheVolume() throws {
      let volume = try LoopVolume(devices: 3, format: "-d raid1 -m raid1")
      let image = try frozenImage(on: volume)
      #expect(image.volume.media.count == 3)
      try shell("btrfs -q device remove \(volume.devices[0]) \(volume.mount)")
      let answer = try image.source.answer(
        image.question(since: image.volume.state, [Portion(inode: 257, range: 0..<(3 << 20))]))
      let now = try #require(answer.volume)
      #expect(now.media.count == 2)
      #expect(answer.behind.count == 1)
      try expectBytes(answer, of: image, on: volume)
    }

    @Test func aReplacedDeviceIsFoundOnItsNewMedium() throws {
      let volume = try LoopVolume(devices: 2, format: "-d raid0 -m raid1")
      let image = try frozenImage(on: volume)
      let new = try volume.addDevice(2, "512M")
      try shell("btrfs replace start -f -B \(volume.devices[0]) \(new) \(volume.mount)")
      let answer = try image.source.answer(
        image.question(since: image.volume.state, [Portion(inode: 257, range: 0..<(3 << 20))]))
      // The new device takes the old one's number and UUID over.
      #expect(
        answer.state.configurationID.entries.map(\.medium)
          == image.volume.state.configurationID.entries.map(\.medium))
      if let now = answer.volume { #expect(now.media.map(\.path).contains(new)) }
      try expectBytes(answer, of: image, on: volume)
    }

    /// What the first located portion leads to is file 257's content, on every copy.
    private func expectBytes(
      _ answer: MappingAnswer, of image: DescribedImage, on volume: LoopVolume
    ) throws {
      let reader = DirectReader(
        volume, map: answer.volume?.map ?? image.volume.map,
        media: answer.volume?.media ?? image.volume.media)
      defer { reader.close() }
      let file = try #require(try image.files().first)
      var bytes: [UInt8] = []
      for told in try #require(answer.located.first).extents where told.inode == 257 {
        guard case .stored(let address) = told.extent.source else { continue }
        let copies = try reader.copies(of: address, length: told.extent.length)
        #expect(Set(copies).count == 1)
        bytes += copies[0]
      }
      #expect(try bytes == image.contents(of: file))
    }
  }
}
