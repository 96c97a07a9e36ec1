import DataSets
import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import StackProvider

/// A block device, logical volume or disk image at rest.
struct StackDataSet: DataSet {
  private let freezer: StackFreezer

  init(_ place: StackPlace) throws {
    freezer = try StackFreezer(place)
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
struct StackRecord: ProviderRecord {
  static let provider = "stack"

  var image: StackFreezer.Image

  var snapshot: String? { nil }

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
