import DataSets
import FrozenImage
public import ImageService
import LogicalRepresentation
public import StackProvider

/// A block device, logical volume or disk image at rest.
struct StackDataSet: DataSet {
  private let freezer: StackFreezer

  init(_ place: StackPlace) throws {
    freezer = try StackFreezer(place)
  }

  var notes: [String] { freezer.notes }

  var explanation: [String] { freezer.explanation }

  let leavesSomething = false

  var needsService: Bool { freezer.needsService }

  func plan(for image: UniqueIdentifier) throws -> any ImageNote {
    StackNote(image: try freezer.image())
  }

  func freeze(as image: UniqueIdentifier) throws -> any ImageNote {
    try freezer.requireRest()
    return StackNote(image: try freezer.image())
  }

  func describe(
    _ frozen: any ImageNote, _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    try freezer.describe(label, scratch: scratch, progress: progress)
  }
}

/// What the catalogue keeps of an image in a volume stack.
struct StackNote: ImageNote {
  static let provider = "stack"

  var image: StackFreezer.Image

  var snapshot: String? { nil }

  /// Nothing was made.
  func release() {}

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ServedImage {
    let source = StackSource(image, representation: representation)
    try source.follow()
    return source
  }
}

extension StackSource: ServedImage {}
