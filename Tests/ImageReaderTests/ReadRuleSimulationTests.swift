import FrozenImage
import ImageReader
import Testing

/// Interleaves reads with moves, commits and poison at every point where a real
/// read can be interrupted, and looks at every byte that the read rule accepts.
@Suite struct ReadRuleSimulationTests {
  @Test func neverAcceptsAStaleByte() throws {
    for seed in 0..<400 as Range<UInt64> {
      var simulation = try Simulation(seed: seed)
      try simulation.run(actions: 3000)
      #expect(simulation.wrongBytes == 0, "seed \(seed)")
      #expect(simulation.finished > 0, "seed \(seed)")
    }
  }

  @Test func theSimulationThrowsStaleReadsAwayAndRemaps() throws {
    var statistics = ReaderStatistics()
    for seed in 0..<50 as Range<UInt64> {
      var simulation = try Simulation(seed: seed)
      try simulation.run(actions: 3000)
      statistics.discardedReads += simulation.rule.statistics.discardedReads
      statistics.remaps += simulation.rule.statistics.remaps
      statistics.questions += simulation.rule.statistics.questions
    }
    #expect(statistics.discardedReads > 0)
    #expect(statistics.remaps > 0)
    #expect(statistics.questions > 0)
  }

  /// A rule whose checks always match must be caught: the proof that the
  /// simulation can see a stale read.
  @Test func withoutTheWitnessStaleBytesAreSeen() throws {
    var wrongBytes = 0
    for seed in 0..<50 as Range<UInt64> {
      var simulation = try Simulation(seed: seed)
      simulation.witnessIsOff = true
      try simulation.run(actions: 3000)
      wrongBytes += simulation.wrongBytes
    }
    #expect(wrongBytes > 0)
  }

  /// Checks that begin before the data was read must be caught.
  @Test func aCheckThatBeganTooEarlyIsSeen() throws {
    var wrongBytes = 0
    for seed in 0..<200 as Range<UInt64> {
      var simulation = try Simulation(seed: seed)
      simulation.checksBeginTooEarly = true
      try simulation.run(actions: 3000)
      wrongBytes += simulation.wrongBytes
    }
    #expect(wrongBytes > 0)
  }
}

/// The scheduler: at each action one of the readers or the mover takes one step.
private struct Simulation {
  var rule: ReadRule
  var volume: SimulatedVolume
  var random: SeededGenerator
  var witnessIsOff = false
  var checksBeginTooEarly = false
  private(set) var wrongBytes = 0
  private(set) var finished = 0
  private var readers: [Reader]
  private var now: UInt64 = 0
  private let content: [FileExtent]

  /// What a reader is in the middle of.
  private enum Activity {
    case idle
    case ready
    case fetching(ReadPlan, next: Int)
    case checking(found: [ConfigurationID.Entry])
    case asking(MappingQuestion, MappingAnswer?)
  }

  private struct Reader {
    var read: PortionRead?
    var activity = Activity.idle
    var bytes: [UInt8] = []
    var range: Range<Int> = 0..<0
    var early: ConfigurationID?
  }

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    volume = SimulatedVolume(blockCount: 12, placeCount: 16)
    content = (0..<12).map { [volume] in volume.extent(of: $0) }
    let state = MappingState(
      configurationID: volume.configurationID(of: 10), cursor: SimulatedVolume.bytes(of: 10))
    var limits = ReadRule.Limits()
    limits.attempts = .max
    rule = ReadRule(
      state: state, map: try volume.map, media: try volume.descriptions, limits: limits)
    readers = [Reader](repeating: Reader(), count: 4)
  }

  mutating func run(actions: Int) throws {
    for _ in 0..<actions {
      now += 1000
      switch Int.random(in: 0..<10, using: &random) {
      case 0: volume.move(Int.random(in: 0..<volume.blockCount, using: &random), using: &random)
      case 1: volume.commitStep()
      case 2: volume.poison()
      default: step(Int.random(in: 0..<readers.count, using: &random))
      }
    }
  }

  private mutating func step(_ index: Int) {
    switch readers[index].activity {
    case .idle: begin(index)
    case .ready: proceed(index)
    case .fetching(let plan, let next): fetch(index, plan, next)
    case .checking(let found): check(index, found)
    case .asking(let question, nil):
      readers[index].activity = .asking(question, volume.answer(question))
    case .asking(let question, let answer?):
      rule.answered(.success(answer), to: question, now: now)
      readers[index].activity = .ready
    }
  }

  private mutating func begin(_ index: Int) {
    let start = Int.random(in: 0..<volume.blockCount, using: &random)
    let end = min(volume.blockCount, start + Int.random(in: 1...4, using: &random))
    let size = SimulatedVolume.blockSize
    let range = UInt64(start) * size..<UInt64(end) * size
    readers[index].range = start..<end
    readers[index].read = rule.begin(
      Portion(inode: 1, range: range),
      content: PortionContent(
        extents: content.compactMap { $0.clipped(to: range) }, checksummed: [])
    )
    readers[index].activity = .ready
  }

  private mutating func proceed(_ index: Int) {
    guard var read = readers[index].read else { return }
    let step = rule.next(&read, now: now)
    readers[index].read = read
    switch step {
    case .fetch(let plan):
      readers[index].bytes = []
      readers[index].early = volume.found
      readers[index].activity = .fetching(plan, next: 0)
    case .check: readers[index].activity = .checking(found: [])
    case .ask(let question): readers[index].activity = .asking(question, nil)
    case .finished:
      finished += 1
      wrongBytes += zip(readers[index].range, readers[index].bytes).count { $1 != UInt8($0 + 1) }
      readers[index] = Reader()
    case .failed, .readThrough: readers[index] = Reader()
    case .pause: break
    }
  }

  /// Fetches one piece, block by block of what the medium holds at this moment.
  private mutating func fetch(_ index: Int, _ plan: ReadPlan, _ next: Int) {
    guard next < plan.pieces.count else {
      guard var read = readers[index].read else { return }
      rule.fetched(&read, .complete, now: now)
      readers[index].read = read
      readers[index].activity = .ready
      return
    }
    let piece = plan.pieces[next]
    if case .media(let copies) = piece.source, let copy = copies.first,
      let medium = SimulatedVolume.media.firstIndex(of: copy.medium)
    {
      let first = Int(copy.offset / SimulatedVolume.blockSize)
      let count = Int((piece.range.upperBound - piece.range.lowerBound) / SimulatedVolume.blockSize)
      readers[index].bytes += volume.contents[medium][first..<first + count]
    }
    readers[index].activity = .fetching(plan, next: next + 1)
  }

  /// Reads one medium's witness; two of them make a check.
  private mutating func check(_ index: Int, _ found: [ConfigurationID.Entry]) {
    guard found.count == 2 else {
      let medium = SimulatedVolume.media[found.count]
      let source =
        witnessIsOff
        ? rule.known.configurationID
        : checksBeginTooEarly ? readers[index].early ?? volume.found : volume.found
      let entry = ConfigurationID.Entry(medium: medium, bytes: source[medium] ?? [])
      readers[index].activity = .checking(found: found + [entry])
      return
    }
    rule.checked(found: ConfigurationID(entries: found), unreadable: [])
    readers[index].activity = .ready
  }
}
