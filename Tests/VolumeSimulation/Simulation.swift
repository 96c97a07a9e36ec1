import FrozenImage
import ImageReader
import SeededNumbers

/// Interleaves reads with a volume that moves and fails, at every point where a real
/// read can be interrupted, and looks at every byte that the read rule accepts.
///
/// At each action one of the readers, the volume or a fault takes one step; a seed
/// decides which, so that a run replays exactly. Which faults a run has is decided by
/// its seed too: some faults hide others.
package struct Simulation {
  /// A part of the rule that the driver drops, to prove that the simulation sees it.
  package enum Mutation: Sendable {
    /// Checks find the known state, whatever is on the media.
    case checksAlwaysMatch
    /// Checks tell what was on the media before the data was read.
    case checksBeginTooEarly
    /// Checks read the second medium, and take the first to be as known.
    case checksReadOneMedium
    /// Reads without the rule's lock are taken when no answer came meanwhile.
    case quickReadsMakeNoCheck
    /// Incarnations of media are not compared: whatever becomes of a medium, it keeps its own.
    case mediaKeepTheirIncarnation
    /// The storage tells what it mapped as of the state that it sees afterwards.
    case storageTagsLate
  }

  package var mutation: Mutation? {
    didSet { media.keepsIncarnations = mutation == .mediaKeepTheirIncarnation }
  }
  package var volume: SimulatedVolume
  package internal(set) var report = SimulationReport()

  static let actionTime: UInt64 = 1000
  static let blockCount = 12

  var rule: ReadRule
  var remaps: RemapMemory
  /// The media as the backup host has them open.
  var media: SimulatedMedia
  var random: SeededGenerator
  /// Four that read, and the last one, which asks in the background during an outage.
  var readers = Self.newReaders
  var now: UInt64 = 0
  /// Whether the production host answers.
  var isUp = true
  /// Media whose reads fail at present.
  var failing: Set<Int> = []
  /// The faults that happen in this run.
  private var faults: [Fault]
  /// How restless the volume is: moves, commits and poison in a hundred actions.
  private let pace: Int
  /// Actions for which a read waits for the production host: in some runs outages last
  /// longer.
  private let patience: UInt64
  /// Of a hundred questions, how many the storage is asked first, where it can answer.
  let storageShare: Int
  /// Where each block lay at the freeze.
  private let frozen: SimulatedVolume

  package init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    let layout = random.chance(50) ? SimulatedVolume.Layout.fileExtents : .storeExtents
    volume = SimulatedVolume(blockCount: Self.blockCount, placeCount: 16, layout: layout)
    frozen = volume
    pace = Int.random(in: 1...10, using: &random)
    faults = []
    for fault in Fault.allCases where random.chance(fault.share) { faults.append(fault) }
    patience = random.chance(50) ? 1500 : 40
    storageShare = [0, 50, 100].randomElement(using: &random) ?? 0
    rule = try Self.rule(of: volume, patience: patience)
    remaps = RemapMemory(map: rule.map)
    media = SimulatedMedia(for: &rule)
    report.seeds = 1
  }

  private static var newReaders: [Reader] {
    [Reader](repeating: Reader(), count: 4) + [Reader(isProbe: true)]
  }

  static func rule(of volume: SimulatedVolume, patience: UInt64) throws -> ReadRule {
    var limits = ReadRule.Limits()
    limits.retryInterval = 20 * actionTime
    limits.remapTimeout = patience * actionTime
    limits.probeInterval = 30 * actionTime
    limits.roundTimeout = 1500 * actionTime
    return ReadRule(
      state: volume.state(of: SimulatedVolume.firstGeneration), map: try volume.map,
      media: try volume.descriptions, limits: limits)
  }

  /// What the representation says of a part of the file.
  func content(of range: Range<UInt64>) -> PortionContent {
    PortionContent(
      extents: (0..<Self.blockCount).compactMap { frozen.extent(of: $0).clipped(to: range) },
      checksummed: [])
  }

  /// Takes this many actions, ends every fault, and lets every reader get through.
  package mutating func run(actions: Int = 3000) throws {
    for _ in 0..<actions {
      now += Self.actionTime
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<pace: moveSomething()
      case 20..<20 + pace: if isUp { volume.commitStep() }
      case 40..<40 + pace: volume.poison()
      case 60..<62: try fail()
      default: try step(Int.random(in: 0..<readers.count, using: &random))
      }
    }
    try rest()
    keepStatistics()
  }

  private mutating func moveSomething() {
    guard isUp else { return }
    let block = Int.random(in: 0..<Self.blockCount, using: &random)
    if random.chance(30) {
      if volume.copyOnWrite(block, using: &random) { report.copiesOnWrite += 1 }
    } else if volume.move(block, using: &random) {
      report.moves += 1
    }
  }

  /// The mover pauses and nothing fails any more: every reader gets a read accepted, or
  /// it is stuck. Where a medium is lost, or the image was given up (which a reader that
  /// was told believes for ever), it is enough that its reads end. A commit under way is ended, as any file system ends it.
  private mutating func rest() throws {
    isUp = true
    failing = []
    media.find(in: &rule)
    faults = []
    for index in readers.indices {
      readers[index].reads = 0
      readers[index].accepted = 0
    }
    let wasThawed = report.faults[Fault.thaw.rawValue] > 0
    let isWhole = !wasThawed && (0..<Self.blockCount).allSatisfy(volume.isReadable)
    func isStuck(_ reader: Reader) -> Bool {
      !reader.isProbe && (isWhole ? reader.accepted : reader.reads) == 0
    }
    for _ in 0..<20_000 {
      guard readers.contains(where: isStuck) else { return }
      now += Self.actionTime
      if volume.isCommitting { volume.commitStep() }
      try step(Int.random(in: 0..<readers.count, using: &random))
    }
    report.stuckReaders += readers.count(where: isStuck)
  }

  /// Counts what the rule did before it is gone.
  private mutating func keepStatistics() {
    report.remaps += Int(rule.statistics.remaps)
    report.discardedReads += Int(rule.statistics.discardedReads)
    report.questions += Int(rule.statistics.questions)
  }

  /// Whether a fault of this kind happens now, at a point where it may.
  mutating func happens(_ fault: Fault, percent: Int) -> Bool {
    guard faults.contains(fault), random.chance(percent) else { return false }
    report.faults[fault.rawValue] += 1
    return true
  }

  /// Faults that happen by themselves, and their ends.
  private mutating func fail() throws {
    if !isUp {
      if random.chance(50) { isUp = true }
    } else if happens(.crash, percent: 20) {
      volume.crash()
      isUp = false
    } else if happens(.thaw, percent: 2) {
      volume.thaw()
    } else if happens(.mediumLost, percent: 2) {
      volume.loseSecondMedium()
    } else if happens(.readerRestart, percent: 5) {
      try restartReader()
    }
    if !failing.isEmpty {
      if random.chance(50) { failing = [] }
    } else if happens(.inputOutputError, percent: 20) {
      failing = [Int.random(in: 0..<2, using: &random)]
    }
    if !media.areWhole {
      if random.chance(30) { media.find(in: &rule) }
    } else if happens(.mediumVanished, percent: 10) {
      media.put(.nothing, at: Int.random(in: 0..<2, using: &random))
    } else if happens(.mediumReplaced, percent: 10) {
      media.put(.stranger, at: Int.random(in: 0..<2, using: &random))
    }
  }

  private mutating func restartReader() throws {
    keepStatistics()
    rule = try Self.rule(of: frozen, patience: patience)
    remaps = RemapMemory(map: rule.map)
    media = SimulatedMedia(for: &rule)
    media.keepsIncarnations = mutation == .mediaKeepTheirIncarnation
    readers = Self.newReaders
  }
}
