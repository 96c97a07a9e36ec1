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

/// An image in a volume stack, and who answers for it.
struct StackImage: Sendable {
  /// Where a freeze finds it.
  let place: StackPlace
  let directory: TemporaryDirectory
  /// The disk's file.
  let path: FilePath
  /// How the storage moves once the image is frozen; `nil` when it rests.
  var change: (@Sendable () throws -> Void)?
  /// Makes the image something else than what was frozen.
  let thaw: @Sendable () throws -> Void
  let keeping: any Sendable

  /// An ext4 in a disk image, at rest.
  @Sendable static func ext4() throws -> StackImage {
    let disk = try ExtDisk()
    return StackImage(
      place: StackPlace(
        start: .path(disk.path.string), selectors: [], physicalVolumes: [], assumesFrozen: false),
      directory: disk.directory, path: disk.path, thaw: { try disk.use() }, keeping: disk)
  }

  /// A thick snapshot of LVM2, whose origin was overwritten since.
  @Sendable static func snapshot() throws -> StackImage {
    let disk = try SnapshotDisk()
    return StackImage(
      place: disk.place, directory: disk.directory, path: disk.path,
      change: { try disk.overwriteOrigin() }, thaw: { try disk.remove() }, keeping: disk)
  }

  /// The production host's own provider answers.
  static func onItsHost(
    _ make: @escaping @Sendable () throws -> StackImage
  ) -> @Sendable () throws -> HostUnderTest {
    { try make().frozen { host, _, _ in host } }
  }

  /// The storage itself answers, without any production host.
  static func onItsStorage(
    _ make: @escaping @Sendable () throws -> StackImage
  ) -> @Sendable () throws -> HostUnderTest {
    {
      var image = try make().frozen { _, storage, _ in storage }
      image.hasMediaOfReader = true
      return image
    }
  }

  /// Both answer, and are compared.
  static func onBoth(
    _ make: @escaping @Sendable () throws -> StackImage
  ) -> @Sendable () throws -> HostUnderTest {
    {
      var image = try make().frozen { host, storage, tally in
        AnswerSources(
          .both, storage: storage, host: host, hasHost: true, tally: tally,
          hostKnowsMore: { storage.liesOnRaid })
      }
      image.hasMediaOfReader = true
      return image
    }
  }

  private func frozen(
    _ choose: (any ProductionHost, StorageSource, AnswerTally) -> any ProductionHost
  ) throws -> HostUnderTest {
    let freezer = try StackFreezer(place)
    let file = directory.path.appending("image.floe")
    let media = try freezer.describe(
      FrozenImageLabel(
        id: .random(), name: "disk", created: .now, host: "production1", source: "disk",
        service: ""),
      scratch: FileScratch(writing: file), progress: { _ in })
    let representation = try Representation(MappedFile.copy(of: file))
    try representation.check()
    // A backup host has another path to it.
    let elsewhere = directory.path.appending("shared.img")
    try shell("ln '\(path)' '\(elsewhere)'")
    let medium = try OpenMedium(path: elsewhere.string, isShared: true)
    guard
      let storage = StorageSource(
        representation, volume: representation.volumes[0],
        medium: { id in id == media[0].id ? medium : nil },
        take: { throw Failure(.notFound, "nobody has \($0.label)") })
    else { throw Failure(.failed, "the representation does not tell how the stack is found") }
    let host = StackSource(try freezer.image(), representation: { representation })
    try change?()
    return HostUnderTest(
      host: choose(host, storage, AnswerTally()), representation: representation,
      media: Dictionary(uniqueKeysWithValues: media.map { ($0.id, path.string) }),
      thaw: thaw, hasMoved: change != nil, keeping: keeping)
  }
}
