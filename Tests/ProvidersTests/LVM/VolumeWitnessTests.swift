import FrozenImage
import Testing

@testable import BlockMappers
@testable import VolumeLayers

extension LVMTests {
  @Suite struct Witness {
    /// Every commit shows on every disk; what is no commit shows nowhere.
    @Test func changesWithEachCommitOnly() throws {
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      // The third disk holds nothing of the volume, but tells of commits.
      try disks.makeVolume("root", "-i 2 -l 8 vg \(disks.devices[0]) \(disks.devices[1])")
      var last = try disks.witness("root")
      #expect(last.allSatisfy { $0.count > 60 })
      let identities = try disks.identities("root")
      let commits = [
        "lvcreate -an -Zn -Wn -n other -l 1 vg", "lvrename vg other new", "lvremove -y vg/new",
        "vgchange --addtag one vg", "lvextend -l +2 vg/root", "lvreduce -y -l -2 vg/root",
        "pvresize --yes --setphysicalvolumesize 7m \(disks.devices[2])",
      ]
      for command in commits {
        try disks.lvm(command)
        let now = try disks.witness("root")
        for index in 0..<3 { #expect(now[index] != last[index], "\(command), disk \(index)") }
        last = now
      }
      #expect(try disks.identities("root") == identities)
      for command in ["pvs", "vgs", "lvs -a", "vgck vg", "pvck \(disks.devices[0])"] {
        try disks.lvm(command)
      }
      _ = try disks.metadata()
      try write([UInt8](repeating: 7, count: 65536), to: disks.images[0], at: 1 << 20)
      #expect(try disks.witness("root") == last)
    }

    /// A commit that is prepared (slot 1) and given up moves nothing.
    @Test func commitThatIsGivenUp() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 8 vg")
      let before = try disks.witness("root")
      var header = try Array(disks.metadataBytes(of: 0)[4096..<4608])
      header.replaceSubrange(64..<88, with: header[40..<64])
      header[65] &+= 16
      try disks.writeHeader(header)
      #expect(try disks.group().group.sequenceNumber == 2)
      #expect(try disks.witness("root") == before)
    }

    /// A disk that leaves the group shows, and stays the same disk; one that is wiped is
    /// no longer it.
    @Test func label() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 8 vg \(disks.devices[0])")
      let media = try Stack(top: disks.layer("root")).media()
      let other = try #require(media.first { $0.path == disks.images[1] })
      let witness = try disks.bytes(of: other.witness)
      #expect(try disks.bytes(of: other.identity) == other.identityBytes)
      let label = try disks.metadataBytes(of: 1)[512..<1024]
      try disks.lvm("vgreduce vg \(disks.devices[1])")
      #expect(try disks.bytes(of: other.witness) != witness)
      #expect(try disks.bytes(of: other.identity) == other.identityBytes)
      // The label itself has another flag now.
      #expect(try disks.metadataBytes(of: 1)[512..<1024] != label)
      try disks.lvm("pvremove \(disks.devices[1])")
      #expect(try disks.bytes(of: other.identity) != other.identityBytes)
    }

    /// Two windows tell a volume: where its label lies and who it is.
    @Test func identity() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 8 vg \(disks.devices[0])")
      let identities = try disks.identities("root")
      for (index, volume) in try disks.volumes().enumerated() {
        let text = String(decoding: identities[index], as: UTF8.self)
        #expect(text.hasPrefix("LABELONE"))
        #expect(text.hasSuffix(volume.id.description.filter { $0 != "-" }))
      }
    }
  }
}

extension LVMDisks {
  func identities(_ name: String) throws -> [[UInt8]] {
    let media = try Stack(top: layer(name)).media()
    return images.map { image in media.first { $0.path == image }?.identityBytes ?? [] }
  }

  /// What a probe shows on the second disk.
  func bytes(of probe: Probe?) throws -> [UInt8] {
    let disk = try layers()[1]
    var bytes: [UInt8] = []
    for window in probe?.windows ?? [] {
      let read = try disk.bytes(at: window.offset, count: window.length)
      bytes += read.withUnsafeBytes { window.extract(from: $0) ?? [] }
    }
    return bytes
  }

  /// Writes a metadata area's header to the first disk, with its checksum made right.
  func writeHeader(_ header: [UInt8]) throws {
    let checksum = MetadataChecksum.checksum(header[4...])
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) }
    try write(bytes + header[4...], to: images[0], at: 4096)
  }
}
