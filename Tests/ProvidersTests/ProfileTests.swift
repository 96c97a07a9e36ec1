import BtrfsProvider
import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing

/// Every profile, on real devices: what is described leads to the file's bytes, on
/// every copy.
extension BtrfsTests {
  @Suite("btrfs profiles") struct ProfileTests {
    struct Profile: CustomTestStringConvertible, Sendable {
      let name: String
      let devices: Int
      let copies: Int
      var testDescription: String { name }
    }

    static let profiles = [
      Profile(name: "single", devices: 2, copies: 1),
      Profile(name: "dup", devices: 1, copies: 2),
      Profile(name: "raid0", devices: 3, copies: 1),
      Profile(name: "raid1", devices: 2, copies: 2),
      Profile(name: "raid1c3", devices: 3, copies: 3),
      Profile(name: "raid1c4", devices: 4, copies: 4),
      Profile(name: "raid10", devices: 4, copies: 2),
    ]

    @Test(arguments: profiles)
    func leadsToBytes(_ profile: Profile) throws {
      let volume = try LoopVolume(
        devices: profile.devices, format: "-d \(profile.name) -m \(profile.name)")
      try shell(
        """
        cd \(volume.mount); btrfs -q subvolume create data; cd data
        head -c 10M /dev/urandom > large; head -c 5000 /dev/urandom > small
        for i in $(seq 150); do head -c $((i * 100 + 4000)) /dev/urandom > f$i; done
        """)
      let image = try DescribedImage(volume.path("data"))
      let tally = try expectAllBytes(of: image, on: volume)
      #expect(tally.mostCopies == profile.copies)
      #expect(tally.checksummedBlocks > 2560)
      #expect(image.volume.media.count == profile.devices)
      #expect(image.volume.state.configurationID.entries.count == profile.devices)

      // Everything moves; what is located then leads to the same bytes.
      try shell("btrfs -q balance start -d \(volume.mount)")
      let answer = try image.source.answer(
        image.question(since: image.volume.state, try portions(of: image)))
      #expect(answer.changes != .ranges([]))
      let volumeNow = try #require(answer.volume)
      let reader = DirectReader(volume, map: volumeNow.map, media: volumeNow.media)
      defer { reader.close() }
      #expect(answer.located.count == (try image.files().count))
      var checked = 0
      for located in answer.located {
        // Every answer tells the neighbours too: those of the first are enough.
        for told in located.extents
        where checked < 150 || told.inode == located.keys.lowerBound.inode {
          guard case .stored(let address) = told.extent.source else { continue }
          checked += 1
          let expected = try bytes(of: told, in: image)
          let wrong = try reader.copies(of: address, length: told.extent.length).filter {
            !$0.starts(with: expected)
          }
          #expect(wrong.isEmpty, "inode \(told.inode) at \(told.extent.offset)")
        }
      }
      #expect(checked > 150)
    }

    private func portions(of image: DescribedImage) throws -> [Portion] {
      try image.files().map { file in
        let attributes = try image.representation.attributes(of: file.node)
        return Portion(inode: attributes.inode, range: 0..<attributes.size)
      }
    }

    /// What the file has where an extent lies, up to the file's end.
    private func bytes(of told: MappingAnswer.Extent, in image: DescribedImage) throws -> [UInt8] {
      var buffer = [UInt8](repeating: 0, count: Int(told.extent.length))
      let count = try buffer.withUnsafeMutableBytes {
        try image.source.read(inode: told.inode, offset: told.extent.offset, into: $0)
      }
      return Array(buffer[..<count])
    }
  }
}
