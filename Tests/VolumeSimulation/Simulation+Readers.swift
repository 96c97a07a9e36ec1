import FrozenImage
import ImageReader
import SeededNumbers

// What a reader does, one step at a time: the part of a blocking driver.

extension Simulation {
  /// What a reader is in the middle of.
  enum Activity {
    case idle
    case ready
    case fetching(ReadPlan, next: Int, FetchOutcome)
    case checking(WitnessFindings, next: Int)
    case asking(MappingQuestion)
    /// The storage was looked at: the witness, and what is mapped under it.
    case mapped(MappingQuestion, at: UInt64, SimulatedVolume)
    /// The provider looked at the witness.
    case looked(MappingQuestion, at: UInt64)
    /// The reply is on its way.
    case replied(Result<MappingAnswer, SourceError>, to: MappingQuestion, at: UInt64)
    case readingThrough
  }

  struct Reader {
    /// Whether it asks in the background, and reads nothing.
    var isProbe = false
    var read: PortionRead?
    /// What it reads in without the rule's lock; `nil` when it follows the rule.
    var epoch: Epoch?
    /// What it fetched there.
    var quickPlan: ReadPlan?
    var activity = Activity.idle
    var bytes: [UInt8] = []
    /// The incarnation of each medium that they came from.
    var incarnations: [MediumID: Incarnation] = [:]
    var range: Range<Int> = 0..<0
    /// What was on the media before its data was read.
    var early: [MediumID: [UInt8]] = [:]
    /// Reads that came to an end, one way or another.
    var reads = 0
    /// Of them, those whose bytes were accepted.
    var accepted = 0
  }

  mutating func step(_ index: Int) throws {
    switch readers[index].activity {
    case .idle: begin(index)
    case .ready: proceed(index)
    case .fetching(let plan, let next, let outcome): fetch(index, plan, next, outcome)
    case .checking(let findings, let next): check(index, findings, next)
    case .asking(let question): look(index, question)
    case .mapped(let question, let seen, let volume):
      try answerFromStorage(index, question, seen, volume)
    case .looked(let question, let seen): try answer(index, question, seen)
    case .replied(let result, let question, let time):
      guard now >= time else { return }
      rule.answered(result, to: question, now: now)
      readers[index].activity = .ready
    case .readingThrough: readThrough(index)
    }
  }

  private mutating func begin(_ index: Int) {
    guard !readers[index].isProbe else {
      if rule.beginProbing(now: now) { readers[index].activity = .ready }
      return
    }
    let start = Int.random(in: 0..<Self.blockCount, using: &random)
    let end = min(Self.blockCount, start + Int.random(in: 1...4, using: &random))
    let size = SimulatedVolume.blockSize
    let range = UInt64(start) * size..<UInt64(end) * size
    let portion = Portion(inode: 1, range: range)
    readers[index].range = start..<end
    if random.chance(50), beginQuickly(index, portion) { return }
    readers[index].read = rule.begin(portion, content: content(of: range))
    readers[index].activity = .ready
  }

  private mutating func probe(_ index: Int) {
    switch rule.nextProbe(now: now) {
    case .check: readers[index].activity = .checking(WitnessFindings(), next: 0)
    case .ask(let question):
      report.probes += 1
      readers[index].activity = .asking(question)
    case .pause: break
    case .end: readers[index].activity = .idle
    }
  }

  private mutating func proceed(_ index: Int) {
    guard !readers[index].isProbe else { return probe(index) }
    guard var read = readers[index].read else { return }
    let step = rule.next(&read, now: now)
    readers[index].read = read
    switch step {
    case .fetch(let plan): beginFetch(index, plan, of: read.portion)
    case .check: readers[index].activity = .checking(WitnessFindings(), next: 0)
    case .ask(let question): ask(index, question)
    case .readThrough: readers[index].activity = .readingThrough
    case .finished: accept(index)
    case .failed:
      report.failedReads += 1
      end(index)
    case .pause: break
    }
  }

  mutating func beginFetch(_ index: Int, _ plan: ReadPlan, of portion: Portion) {
    if remaps.isRemap(plan, of: portion, content: content(of: portion.range)) {
      rule.statistics.remaps += 1
    }
    readers[index].bytes = []
    readers[index].incarnations = [:]
    readers[index].early = found
    readers[index].activity = .fetching(plan, next: 0, .complete)
  }

  /// The oracle: every byte that is accepted must be the frozen one.
  mutating func accept(_ index: Int) {
    let reader = readers[index]
    report.reads += 1
    report.bytes += reader.range.count * Int(SimulatedVolume.blockSize)
    let wrong = reader.range.enumerated().count { position, block in
      position >= reader.bytes.count || reader.bytes[position] != UInt8(block + 1)
    }
    report.wrongBytes += wrong * Int(SimulatedVolume.blockSize)
    end(index)
    readers[index].accepted += 1
  }

  private mutating func end(_ index: Int) {
    let (reads, accepted) = (readers[index].reads, readers[index].accepted)
    readers[index] = Reader()
    readers[index].reads = reads + 1
    readers[index].accepted = accepted
  }

  // MARK: Data

  /// Fetches one block of what the medium holds at this moment.
  private mutating func fetch(
    _ index: Int, _ plan: ReadPlan, _ next: Int, _ outcome: FetchOutcome
  ) {
    let places = plan.pieces.flatMap(places(of:))
    guard next < places.count else {
      if let epoch = readers[index].epoch { return fetchedQuickly(index, plan, outcome, in: epoch) }
      guard var read = readers[index].read else { return }
      rule.fetched(&read, outcome, from: readers[index].incarnations, now: now)
      readers[index].read = read
      readers[index].activity = .ready
      return
    }
    var outcome = outcome
    var byte = UInt8(0xEE)
    switch places[next] {
    case nil:
      switch source(of: readers[index].range.lowerBound + next) {
      case .success(let found): byte = found
      case .failure(let error): outcome = .sourceFailed(error)
      }
    case let place?:
      if let found = read(place, index) {
        byte = found
      } else if case .complete = outcome {
        outcome = .damaged(FetchOutcome.Damage(reason: "a read failed"))
      }
    }
    readers[index].bytes.append(byte)
    readers[index].activity = .fetching(plan, next: next + 1, outcome)
  }

  /// What a reader reads at a place right now; `nil` when that fails.
  private mutating func read(_ place: SimulatedVolume.Place, _ index: Int) -> UInt8? {
    let installed = media.installed[place.medium]
    let medium = SimulatedVolume.media[place.medium]
    if readers[index].incarnations[medium] == nil {
      readers[index].incarnations[medium] = installed.incarnation
    }
    if failing.contains(place.medium) || happens(.shortRead, percent: 2) { return nil }
    switch installed.device {
    case .medium: return volume.contents[place.medium][place.block]
    case .stranger: return 0xDD
    case .nothing: return nil
    }
  }

  /// Where the blocks of a piece lie; `nil` for those that the production host gives.
  private func places(of piece: ReadPlan.Piece) -> [SimulatedVolume.Place?] {
    let size = SimulatedVolume.blockSize
    let count = Int((piece.range.upperBound - piece.range.lowerBound) / size)
    guard case .media(let copies) = piece.source, let copy = copies.first,
      let medium = SimulatedVolume.media.firstIndex(of: copy.medium)
    else { return [SimulatedVolume.Place?](repeating: nil, count: count) }
    return (0..<count).map {
      SimulatedVolume.Place(medium: medium, block: Int(copy.offset / size) + $0)
    }
  }

  /// A block as the production host reads it.
  private mutating func source(of block: Int) -> Result<UInt8, SourceError> {
    if let error = noReply() { return .failure(error) }
    if volume.isThawed { return .failure(.thawed("the image was given up")) }
    guard volume.isReadable(block) else { return .failure(.failed("a medium is lost")) }
    return .success(UInt8(block + 1))
  }

  private mutating func readThrough(_ index: Int) {
    guard var read = readers[index].read else { return }
    readers[index].bytes = []
    var failure: SourceError?
    for block in readers[index].range where failure == nil {
      switch source(of: block) {
      case .success(let byte): readers[index].bytes.append(byte)
      case .failure(let error): failure = error
      }
    }
    rule.readThrough(&read, failed: failure, now: now)
    readers[index].read = read
    readers[index].activity = .ready
  }

  // MARK: Checks

  /// What is on the media right now.
  private var found: [MediumID: [UInt8]] {
    var found: [MediumID: [UInt8]] = [:]
    for medium in SimulatedVolume.media.indices {
      found[SimulatedVolume.media[medium]] = witness(of: medium)
    }
    return found
  }

  private func witness(of medium: Int) -> [UInt8]? {
    switch media.installed[medium].device {
    case .medium: SimulatedVolume.bytes(of: volume.witness[medium])
    case .stranger: SimulatedVolume.bytes(of: SimulatedMedia.strangersGeneration)
    case .nothing: nil
    }
  }

  /// Reads one medium's witness; two of them make a check.
  private mutating func check(_ index: Int, _ findings: WitnessFindings, _ next: Int) {
    guard next < SimulatedVolume.media.count else {
      if let epoch = readers[index].epoch { return checkedQuickly(index, findings, in: epoch) }
      rule.checked(findings)
      readers[index].activity = .ready
      return
    }
    var findings = findings
    let medium = SimulatedVolume.media[next]
    if !failing.contains(next), let witness = witness(of: next) {
      media.noteUse(of: next)
      findings.witnesses.append(
        WitnessFindings.Witness(
          medium: medium, bytes: pretended(index, next) ?? witness,
          incarnation: media.installed[next].incarnation))
    } else {
      media.noteLoss(of: next, in: &rule)
      findings.unreadable.insert(medium)
    }
    readers[index].activity = .checking(findings, next: next + 1)
  }

  /// What a check that is broken finds on a medium; `nil` when it finds what is there.
  private func pretended(_ index: Int, _ next: Int) -> [UInt8]? {
    let medium = SimulatedVolume.media[next]
    return switch mutation {
    case .checksAlwaysMatch: rule.known.configurationID[medium]
    case .checksBeginTooEarly: readers[index].early[medium]
    case .checksReadOneMedium: next == 0 ? rule.known.configurationID[medium] : nil
    case .quickReadsMakeNoCheck, .mediaKeepTheirIncarnation, .storageTagsLate, nil: nil
    }
  }

  // MARK: Questions (of the production host; Simulation+Storage.swift: of the storage)

  /// Why no reply comes; `nil` when one does.
  private mutating func noReply() -> SourceError? {
    if !isUp { return .unreachable("the production host is down") }
    return happens(.lostReply, percent: 10) ? .unreachable("the reply was lost") : nil
  }

  private mutating func look(_ index: Int, _ question: MappingQuestion) {
    if let error = noReply() { return reply(index, .failure(error), question) }
    if volume.isThawed {
      return reply(index, .failure(.thawed("the image was given up")), question)
    }
    if let seen = volume.look() { readers[index].activity = .looked(question, at: seen) }
  }

  private mutating func answer(
    _ index: Int, _ question: MappingQuestion, _ seen: UInt64
  ) throws {
    if !isUp { return reply(index, .failure(.unreachable("it crashed")), question) }
    guard !volume.isThawed, let answer = try volume.answer(question, at: seen) else {
      readers[index].activity = .asking(question)
      return
    }
    reply(index, .success(answer), question)
  }

  private mutating func reply(
    _ index: Int, _ result: Result<MappingAnswer, SourceError>, _ question: MappingQuestion
  ) {
    let delay =
      happens(.slowReply, percent: 20) ? UInt64.random(in: 1...300, using: &random) : 0
    readers[index].activity = .replied(result, to: question, at: now + delay * Self.actionTime)
  }
}
