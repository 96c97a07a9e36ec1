import DataSets
import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import LogicalRepresentation
import Media
import StackProvider
import SystemPackage

/// An ext4 in a disk image, at rest.
enum StackImage {
  /// The production host's own provider answers.
  @Sendable static func make() throws -> HostUnderTest {
    try make { host, _, _ in host }
  }

  /// The storage itself answers, without any production host.
  @Sendable static func onItsStorage() throws -> HostUnderTest {
    var image = try make { _, storage, _ in storage }
    image.hasMediaOfReader = true
    return image
  }

  /// Both answer, and are compared.
  @Sendable static func onBoth() throws -> HostUnderTest {
    var image = try make { host, storage, tally in
      AnswerSources(.both, storage: storage, host: host, hasHost: true, tally: tally)
    }
    image.hasMediaOfReader = true
    return image
  }

  private static func make(
    _ choose: (any ProductionHost, StorageSource, AnswerTally) -> any ProductionHost
  ) throws -> HostUnderTest {
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
    // A backup host has another path to it.
    let elsewhere = disk.directory.path.appending("shared.img")
    try shell("ln '\(disk.path)' '\(elsewhere)'")
    let medium = try OpenMedium(path: elsewhere.string, isShared: true)
    guard
      let storage = StorageSource(
        representation, volume: representation.volumes[0],
        medium: { id in id == media[0].id ? medium : nil },
        take: { throw Failure(.notFound, "nobody has \($0.label)") })
    else { throw Failure(.failed, "the representation does not tell how the stack is found") }
    let host = StackSource(try freezer.image(), representation: { representation })
    return HostUnderTest(
      host: choose(host, storage, AnswerTally()), representation: representation,
      media: Dictionary(uniqueKeysWithValues: media.map { ($0.id, disk.path.string) }),
      thaw: { try disk.use() }, keeping: disk)
  }
}
