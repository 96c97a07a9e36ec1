package import DataSets
import FileTrees
import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import VolumeLayers

/// Block devices, logical volumes and disk images, by paths and as VG/LV.
package enum VolumeStacks: DataSetProvider {
  package static var record: any ProviderRecord.Type { StackRecord.self }

  package static var formats: [DataFormat] {
    StackPlace.ImageFormat.allCases.map { DataFormat($0.rawValue, isDisk: true) }
      + ExtFileSystem.types.sorted().map { DataFormat($0, isDisk: false) }
  }

  package static func find(_ named: NamedData, _ options: SearchOptions) throws -> (any DataSet)? {
    switch named.kind {
    case .blockDevice:
      // As it was named: what a link such as /dev/disk/by-id/… leads to has another name
      // after the next start of the host.
      return try StackDataSet(
        StackPlace(.path(HostPath.absolute(named.path)), named.selectors, options))
    case .file:
      let path = HostPath.resolved(named.path) ?? named.path
      return try StackDataSet(StackPlace(.path(path), named.selectors, options))
    case .nothing:
      // VG/LV, which is no path below the present directory.
      let parts = named.text.split(separator: ":", omittingEmptySubsequences: false)
        .map(String.init)
      let names = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        .map(String.init)
      guard names.count == 2, names.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
      else { return nil }
      return try StackDataSet(
        StackPlace(.volumeGroup(names[0]), [names[1]] + parts.dropFirst(), options))
    case .directory, .other: return nil
    }
  }
}

extension StackPlace {
  fileprivate init(_ start: Start, _ selectors: [String], _ options: SearchOptions) {
    self.init(
      start: start, selectors: selectors,
      physicalVolumes: options.physicalVolumes.map(HostPath.absolute),
      format: options.formats.first(where: \.isDisk).flatMap { ImageFormat(rawValue: $0.name) },
      content: options.formats.contains { !$0.isDisk } ? .ext : nil,
      backing: options.backing.map(HostPath.absolute), assumesFrozen: options.assumesFrozen)
  }
}

/// A block device, logical volume or disk image at rest.
private struct StackDataSet: DataSet {
  private let freezer: StackFreezer

  init(_ place: StackPlace) throws {
    do {
      freezer = try StackFreezer(place)
    } catch let error as StackError where error.isGone {
      // Nothing was frozen yet that could be thawed.
      throw StackError(error.codeAtFreeze, error.description)
    }
  }

  var remarks: [String] { freezer.notes }

  var explanation: [String] { freezer.explanation }

  let leavesSomething = false

  var needsService: Bool { freezer.needsService }

  func plan(for image: UniqueIdentifier) throws -> any ProviderRecord {
    StackRecord(image: try freezer.image())
  }

  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet {
    try freezer.requireRest()
    return FrozenStack(freezer: freezer, record: StackRecord(image: try freezer.image()))
  }
}

/// A volume stack that was found at rest.
private struct FrozenStack: FrozenDataSet {
  let freezer: StackFreezer
  let record: any ProviderRecord

  func describe(
    _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    try freezer.describe(label, scratch: scratch, progress: progress)
  }
}

/// What the catalogue keeps of an image in a volume stack.
private struct StackRecord: ProviderRecord {
  static let provider = "stack"

  var image: StackFreezer.Image

  var snapshot: String? { nil }

  /// Of a snapshot that the user made. Nothing else fills up, and is not looked for.
  var fill: SnapshotFill? {
    guard image.pins.contains(where: StorageFinder.isVolume) else { return nil }
    return try? StackFinder(image.place, frozen: image).find().fill()
  }

  /// Nothing was made.
  func release() {}

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ProductionHost {
    let source = StackSource(image, representation: representation)
    try source.follow()
    return source
  }
}
