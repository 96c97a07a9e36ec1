import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import Media
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

/// A host that has the media of an image of vg/root open, and may take others.
struct StorageBackup {
  let source: StorageSource
  let representation: Representation
  var state: MappingState { representation.volumes[0].state }

  /// - Parameters:
  ///   - finder: finds other media than those of the freeze; `nil` for no others.
  ///   - byDevice: whether the production host had the devices.
  init(
    _ disks: LVMDisks, finder: MediumFinder? = MediumFinder(named: [:]), byDevice: Bool = false
  ) throws {
    let places = byDevice ? disks.devices : disks.images
    let freezer = try StackFreezer(
      StackPlace(
        start: .volumeGroup("vg"), selectors: ["root"], physicalVolumes: places,
        assumesFrozen: true))
    let scratch = ArrayScratch()
    try freezer.describe(
      FrozenImageLabel(
        id: .random(), name: "image",
        created: Timestamp(seconds: Int64(time(nil)), nanoseconds: 0),
        host: "here", source: "vg/root", service: ""),
      scratch: scratch, progress: { _ in })
    let representation = try Representation(ArrayRegion(scratch.result))
    self.representation = representation
    // The devices, where the production host had the files.
    var media: [MediumID: OpenMedium] = [:]
    for medium in representation.volumes[0].media {
      let index = try #require(places.firstIndex(of: medium.path))
      media[medium.id] = try OpenMedium(path: disks.devices[index], isShared: true)
    }
    let known = media
    let found = StorageSource(
      representation, volume: representation.volumes[0], medium: { known[$0] },
      take: { description in
        guard let finder else { throw CommandError(description: "no other may be taken") }
        return try finder.find(description, witness: nil)
      })
    source = try #require(found)
  }

  func answer(since state: MappingState? = nil) throws -> MappingAnswer {
    let known = state ?? self.state
    return try source.answer(
      MappingQuestion(known: known, found: known.configurationID, portions: []))
  }

  /// What the volume holds where an answer says that it lies.
  func bytes(by answer: MappingAnswer, on disks: LVMDisks, count: UInt64) throws -> [UInt8] {
    let volume = try #require(answer.volume)
    let top = StoreAddress(store: Stack.topStore, offset: 0)
    var bytes: [UInt8] = []
    for run in try volume.map.resolve(top, length: count) {
      let place = run.copies[0]
      let description = try #require(volume.media.first { $0.id == place.medium })
      let medium = try #require(
        disks.devices.lazy.compactMap { try? OpenMedium(path: $0, isShared: true) }
          .first { (try? $0.verifyIdentity(of: description)) != nil })
      bytes += try Layer(medium).bytes(at: place.offset, count: Int(run.length))
    }
    return bytes
  }

  /// Why it does not answer.
  func refusal() -> SourceError? {
    do throws(SourceError) {
      let known = representation.volumes[0].state
      _ = try source.answer(
        MappingQuestion(known: known, found: known.configurationID, portions: []))
      return nil
    } catch {
      return error
    }
  }
}
