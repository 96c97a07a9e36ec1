import FrozenImage
import ImageReader
import LogicalRepresentation
import Media
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  /// A volume group on an md array that is found again on the members alone.
  @Suite struct ArrayStorage {
    /// A mirror of two files with the group "vg" on it; gone with the object.
    private final class Mirror {
      let disks: LVMDisks
      var members: [WrittenMember]
      let paths: [String]

      init(_ format: WrittenMember.Format) throws {
        disks = try LVMDisks(1)
        try disks.makeGroup()
        try disks.restore(
          volumes: [
            VolumeText.volume("root", VolumeText.segments("striped", ["pv0 0"], extents: 8))
          ])
        let content = try contents(of: Array(disks.images[0].utf8))
        let used = content.count
        members = WrittenMember.all(2, format) { $0.usedSize = used }
        let directory = disks.directory
        paths = (0..<2).map { "\(directory)/member\($0)" }
        for (member, path) in zip(members, paths) {
          // Room for a superblock at the end.
          let size = member.dataOffset + used + (128 << 10)
          try write([UInt8](repeating: 0, count: size), to: path, at: 0)
          try write(content, to: path, at: member.dataOffset)
        }
        try writeSuperblocks { _ in }
      }

      func writeSuperblocks(_ change: (inout WrittenMember) -> Void) throws {
        for index in members.indices {
          change(&members[index])
          let size = members[index].dataOffset + members[index].usedSize + (128 << 10)
          members[index].wholeSize = size
          try write(
            members[index].superblock, to: paths[index], at: members[index].superblockOffset)
        }
      }

      func freeze() throws -> Representation {
        let freezer = try StackFreezer(
          StackPlace(
            start: .path(paths[0]), selectors: ["root"], physicalVolumes: [paths[1]],
            assumesFrozen: true))
        let scratch = ArrayScratch()
        try freezer.describe(
          FrozenImageLabel(
            id: .random(), name: "image",
            created: Timestamp(seconds: 1_700_000_000, nanoseconds: 0),
            host: "here", source: "vg/root", service: ""),
          scratch: scratch, progress: { _ in })
        return try Representation(ArrayRegion(scratch.result))
      }
    }

    private func source(_ image: Representation, without missing: String? = nil) throws
      -> StorageSource
    {
      var media: [MediumID: OpenMedium] = [:]
      for medium in image.volumes[0].media where medium.path != missing {
        media[medium.id] = try OpenMedium(path: medium.path, isShared: true)
      }
      let known = media
      let source = StorageSource(
        image, volume: image.volumes[0], medium: { known[$0] },
        take: { _ in throw CommandError(description: "no other may be taken") })
      return try #require(source)
    }

    /// Which members the first bytes of the volume are read from; why from none.
    private func places(_ source: StorageSource, _ image: Representation) -> String {
      do throws(SourceError) {
        let nothing = MappingState(configurationID: ConfigurationID(entries: []), cursor: [])
        let answer = try source.answer(
          MappingQuestion(known: nothing, found: nothing.configurationID, portions: []))
        let top = StoreAddress(store: Stack.topStore, offset: 0)
        guard let run = (try? answer.volume?.map.resolve(top, length: 4096))?.first else {
          return "nowhere"
        }
        return run.copies.map { copy in
          "\(image.volumes[0].media.first { $0.id == copy.medium }?.path.suffix(1) ?? "?") "
            + "at \(copy.offset)"
        }.joined(separator: ", ")
      } catch {
        return "\(error)"
      }
    }

    @Test(arguments: WrittenMember.Format.allCases)
    func answersFromTheMembers(_ format: WrittenMember.Format) throws {
      let mirror = try Mirror(format)
      let image = try mirror.freeze()
      #expect(image.volumes[0].trail != nil && image.volumes[0].media.count == 2)
      let source = try source(image)
      let start = mirror.members[0].dataOffset + 1 << 20
      #expect(places(source, image) == "0 at \(start), 1 at \(start)")
      // One fails, which is written to the other alone.
      try mirror.writeSuperblocks { member in
        guard member.place == 0 else { return }
        member.events += 1
        member.roles[1] = 0xFFFE
      }
      #expect(places(source, image) == "0 at \(start)")
      // Only the one that failed is there, whose label of LVM2 is as good as the other's.
      let stale = try self.source(image, without: mirror.paths[0])
      let refusal = places(stale, image)
      #expect(
        refusal.contains("member 0 of the md array")
          && refusal.contains("is missing, and the others do not say that it failed"),
        "\(refusal)")
    }
  }
}
