import DataSets
import FrozenImage
import HostSystem
import ImageFixtures
import LogicalRepresentation
import StackProvider
import SystemPackage

/// An ext4 in a disk image, at rest.
enum StackImage {
  @Sendable static func make() throws -> HostUnderTest {
    let disk = try ExtDisk()
    let freezer = try StackFreezer(
      StackPlace(
        start: .path(disk.path.string), selectors: [], physicalVolumes: [], assumesFrozen: false))
    let file = disk.directory.path.appending("image.floe")
    let media = try freezer.describe(
      FrozenImageLabel(
        id: .random(), name: "disk", created: .now, host: "production1", source: "disk",
        service: ""),
      scratch: FileScratch(writing: file), progress: { _ in })
    let representation = try Representation(MappedFile.copy(of: file))
    try representation.check()
    return HostUnderTest(
      host: StackSource(try freezer.image(), representation: { representation }),
      representation: representation,
      media: Dictionary(uniqueKeysWithValues: media.map { ($0.id, disk.path.string) }),
      thaw: { try disk.use() }, keeping: disk)
  }
}
