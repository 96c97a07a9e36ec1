import Catalogue
import DataSets
import Freezing
import FrozenImage
import HostSystem
import ImageFixtures
import ImageReader
import LogicalRepresentation
import Synchronization
import SystemPackage

/// A data set of which a test decides what happens to it, and which notes what did.
final class MemoryDataSet: DataSet, Sendable {
  /// What was done to a data set, in order.
  enum Step: Hashable, Sendable {
    case planned
    case frozen
    case described
    /// What the catalogue's record said that was released.
    case released(Record.Stage)
  }

  struct Behaviour: Sendable {
    var leavesSomething = false
    var needsService = false
    var freezeFails = false
    var describeFails = false
    var releaseFails = false
    /// Whether a file of the image cannot be read.
    var isPartlyUnreadable = false
    /// How full the snapshot is, one look after the other.
    var fills: [Double] = []
    var growth = Growth.none

    /// Whether the snapshot grows when it fills up.
    enum Growth: Sendable { case none, grows, hasNoRoom, fails }
    /// Called at each look.
    var onLook: @Sendable () -> Void = {}
  }

  let behaviour: Behaviour
  let steps = Mutex<[Step]>([])
  /// How often it was asked how full it is.
  let looks = Mutex(0)
  /// How often it was to grow.
  let growths = Mutex(0)
  /// Called before each step, with what the catalogue is asked then.
  let onStep: @Sendable (Step) -> Void

  init(
    _ behaviour: Behaviour = Behaviour(), onStep: @escaping @Sendable (Step) -> Void = { _ in }
  ) {
    self.behaviour = behaviour
    self.onStep = onStep
  }

  let remarks = ["a remark"]
  let explanation = ["a chain"]
  var leavesSomething: Bool { behaviour.leavesSomething }
  var needsService: Bool { behaviour.needsService }

  func note(_ step: Step) {
    onStep(step)
    steps.withLock { $0.append(step) }
  }

  func plan(for image: UniqueIdentifier) -> any ProviderRecord {
    note(.planned)
    return Record(image: image, stage: .planned, of: self)
  }

  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet {
    note(.frozen)
    if behaviour.freezeFails { throw Failure(.failed, "it moves") }
    return Frozen(dataSet: self, record: Record(image: image, stage: .made, of: self))
  }

  /// What the catalogue keeps; the data set is found again by the image.
  struct Record: ProviderRecord {
    enum Stage: String, Codable, Sendable { case planned, made }

    static let provider = "memory"
    private static let dataSets = Mutex<[String: MemoryDataSet]>([:])

    let image: String
    let stage: Stage

    init(image: UniqueIdentifier, stage: Stage, of dataSet: MemoryDataSet) {
      self.image = "\(image)"
      self.stage = stage
      Self.dataSets.withLock { [image = self.image] in $0[image] = dataSet }
    }

    var snapshot: String? { stage == .made ? "/snapshot" : nil }

    /// As the test said; the last of them for ever.
    var fill: SnapshotFill? {
      guard let dataSet = Self.dataSets.withLock({ [image] in $0[image] }) else { return nil }
      dataSet.behaviour.onLook()
      let looks = dataSet.looks.withLock { looks in
        defer { looks += 1 }
        return looks
      }
      let fills = dataSet.behaviour.fills
      guard let percent = fills.dropFirst(looks).first ?? fills.last else { return nil }
      return SnapshotFill(title: "the snapshot", data: percent, advice: "extend it")
    }

    var mayGrow: Bool {
      let growth = Self.dataSets.withLock { [image] in $0[image] }?.behaviour.growth
      return growth.map { $0 != Behaviour.Growth.none } ?? false
    }

    func extend() throws -> String? {
      let dataSet = Self.dataSets.withLock { [image] in $0[image] }
      dataSet?.growths.withLock { $0 += 1 }
      switch dataSet?.behaviour.growth {
      case .grows?: return "it grew"
      case .hasNoRoom?: throw Failure(.noRoom, "the group has no room")
      case .fails?: throw Failure(.failed, "lvextend failed")
      case Behaviour.Growth.none?, nil: return nil
      }
    }

    func release() throws {
      let dataSet = Self.dataSets.withLock { [image] in $0[image] }
      dataSet?.note(.released(stage))
      if dataSet?.behaviour.releaseFails == true { throw Failure(.failed, "the volume is gone") }
    }

    func open(
      name: String, representation: @escaping @Sendable () throws -> Representation
    ) throws -> any ProductionHost {
      throw Failure(.failed, "nobody answers for it")
    }
  }

  private struct Frozen: FrozenDataSet {
    let dataSet: MemoryDataSet
    let record: any ProviderRecord

    func describe(
      _ label: FrozenImageLabel, scratch: any RepresentationScratch,
      progress: (FreezeProgress) -> Void
    ) throws -> [MediumDescription] {
      dataSet.note(.described)
      let volume = try VolumeDescription.sample()
      var writer = try RepresentationWriter(
        image: .sample(label.id, name: label.name, service: label.service), volumes: [volume],
        scratch: scratch)
      try writer.addDirectory(256, [("a", 257, .regular), ("b", 258, .regular)])
      try writer.addFile(257, [1, 2, 3])
      progress(FreezeProgress(nodes: 2, files: 1, bytes: 3))
      if dataSet.behaviour.describeFails { throw Failure(.failed, "a medium is gone") }
      if dataSet.behaviour.isPartlyUnreadable {
        try writer.addUnreadableNode(inode: 258, type: .regular, reason: "a bad sector")
      } else {
        try writer.addFile(258, [4])
      }
      try writer.finish(rootInode: 256, rootName: "data")
      progress(FreezeProgress(nodes: 3, files: 2, bytes: 4))
      return volume.media
    }
  }
}
