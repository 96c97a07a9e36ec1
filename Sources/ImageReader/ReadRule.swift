public import FrozenImage

// The read rule
// =============
// A read may be answered only if, after its last data read completed,
//   (a) a witness check began and found the configuration ID under which the
//       read's mapping is known to be valid, or
//   (b) the production host was asked and did not name the portion among what may
//       have changed since a state in which the mapping was known to be valid, and
//       none of the media read from is behind the volume.
// Otherwise the bytes are thrown away, the place of the portion is asked for, and
// it is read again.
//
// `ReadRule` is what all reads of a volume share: the state that is known, what is
// unknown under it, and the two kinds of rounds (checks and questions) that serve
// many reads at once. It does no I/O and knows no clock: `next` says what a read
// has to do, and the driver tells the outcome. The driver keeps it under one lock
// and holds that lock only while it calls in here.
//
// Why an answer never makes a running read valid by mistake: every read that is
// under way is registered with the keys and the store runs that its plan used.
// Applying an answer marks those that it touches as overtaken, in the same critical
// section in which the known state moves on. A read that is not overtaken when a
// check matches the known state therefore has a mapping that is valid under it.

/// The state of a volume's mapping as its readers share it, and the read rule.
public struct ReadRule: Sendable {
  /// How long, and how often, a read tries.
  public struct Limits: Sendable {
    /// Nanoseconds that a read waits for a valid mapping before it fails.
    public var remapTimeout: UInt64 = 30_000_000_000
    /// Nanoseconds between two questions while the production host cannot answer.
    public var retryInterval: UInt64 = 200_000_000
    /// Times that a portion is read in vain before it is read through the
    /// production host, so that a volume that never rests starves nobody.
    public var attempts = 8

    public init() {}
  }

  /// What a read has to do next.
  public enum Step: Sendable {
    /// Fetch the plan's bytes without the lock, then call `fetched`.
    case fetch(ReadPlan)
    /// Read every medium's witness without the lock, then call `checked`.
    case check
    /// Ask the production host without the lock, then call `answered`.
    case ask(MappingQuestion)
    /// Read the portion through the production host without the lock, then call
    /// `readThrough`.
    case readThrough(reason: String)
    /// Wait until another read's check or question finished, or until this time
    /// (nanoseconds of the driver's clock).
    case pause(until: UInt64)
    /// The bytes are the image's.
    case finished
    case failed(ReadError)
  }

  public let limits: Limits
  /// The latest state of the mapping that is known.
  public internal(set) var known: MappingState
  public internal(set) var map: StoreMap
  public internal(set) var media: [MediumDescription]
  /// Why the image is gone for good; `nil` while it is not.
  public internal(set) var thawed: String?
  /// Why the last question had no answer; `nil` when it had one.
  public internal(set) var unanswered: String?
  /// What the last check found on the media.
  public internal(set) var found: ConfigurationID
  public var statistics = ReaderStatistics()

  /// Media that showed no witness at the last check.
  var unreadable: Set<MediumID> = []
  /// Media that the last answer called behind; empty again once a check matched.
  var behind: Set<MediumID> = []
  var overlay = Overlay()
  var checks = Rounds()
  var questions = Rounds()
  /// The media whose witness the last check matched with the known state; empty
  /// when a witness differed.
  var matched: Set<MediumID> = []
  /// The media that were in step at the last question; `nil` when it had no answer.
  var inStep: Set<MediumID>?
  /// The check that has to be finished before the next question: one that began
  /// after the last answer came, or `found` would tell the provider of witnesses
  /// older than the state that it is asked about, and every medium would seem behind.
  var foundTicket: UInt64 = 0
  /// No question before this time.
  var retryTime: UInt64 = 0
  /// No look at lost media before this time.
  var lookTime: UInt64 = 0
  /// Whether the look found the media at another state, so that only a question can
  /// tell which are in step.
  var lookNeedsAnswer = false
  /// Portions whose place the next question asks for.
  var wanted: [Portion] = []
  var underWay: [UInt64: Registration] = [:]
  var lastReadID: UInt64 = 0
  var remapMemory: RemapMemory

  struct Registration {
    var keys: Range<FileKey>
    var plan: ReadPlan
    var isOvertaken = false
  }

  public init(
    state: MappingState, map: StoreMap, media: [MediumDescription], limits: Limits = Limits()
  ) {
    self.limits = limits
    self.map = map
    self.media = media
    known = state
    found = state.configurationID
    remapMemory = RemapMemory(map: map)
  }

  /// Media from which nothing may be read at present.
  public var lost: Set<MediumID> {
    var lost = unreadable.union(behind)
    for medium in media where known.configurationID[medium.id] == nil { lost.insert(medium.id) }
    return lost
  }
}

// MARK: A read's way

extension ReadRule {
  /// Begins a read of a portion.
  public func begin(_ portion: Portion, content: PortionContent) -> PortionRead {
    PortionRead(portion: portion, content: content)
  }

  /// What the read has to do next.
  ///
  /// - Parameter now: nanoseconds of a clock that never goes back.
  public mutating func next(_ read: inout PortionRead, now: UInt64) -> Step {
    switch read.phase {
    case .planning: return plan(&read, now: now)
    case .fetching: return read.plan.map { .fetch($0) } ?? plan(&read, now: now)
    case .checking(let ticket): return afterCheck(&read, ticket: ticket, now: now)
    case .asking(let ticket): return afterAnswer(&read, ticket: ticket, now: now)
    case .readingThrough(let reason): return .readThrough(reason: reason)
    case .finished: return .finished
    case .failed(let error): return .failed(error)
    }
  }

  private mutating func plan(_ read: inout PortionRead, now: UInt64) -> Step {
    if let thawed { return fail(&read, .thawed(thawed)) }
    if now < read.resumeTime { return expired(&read, now: now) ?? .pause(until: read.resumeTime) }
    if let step = lookAtLostMedia(&read, now: now) { return step }
    var planner = Planner(portion: read.portion, content: read.content, map: map, lost: lost)
    guard let plan = planner.plan(with: overlay) else {
      if read.hasAsked { read.vainAttempts += 1 }
      if read.vainAttempts >= limits.attempts {
        return readThrough(&read, "its place keeps changing")
      }
      read.hasAsked = true
      wanted.append(read.portion)
      return ask(&read, now: now)
    }
    if remapMemory.isNews(plan, of: read, map: map, overlay: overlay) { statistics.remaps += 1 }
    lastReadID += 1
    read.id = lastReadID
    read.plan = plan
    read.phase = .fetching
    underWay[read.id] = Registration(keys: read.portion.keys, plan: plan)
    return .fetch(plan)
  }

  /// Looks now and then whether media that were lost are usable again. No read's own
  /// check would find out once no plan reads a medium any more.
  private mutating func lookAtLostMedia(_ read: inout PortionRead, now: UInt64) -> Step? {
    if lookNeedsAnswer {
      lookNeedsAnswer = false
      // A medium that the known state does not list, but that can be read, was late
      // when the provider looked.
      let wasLate = media.contains {
        known.configurationID[$0.id] == nil && found[$0.id] != nil
      }
      if unanswered == nil, wasLate || !behind.isEmpty && matched.isEmpty {
        return ask(&read, now: now)
      }
    }
    // Once for each plan: a check that takes long must not lead to the next one.
    guard !read.hasLooked, now >= lookTime, !lost.isEmpty, checks.begin() else { return nil }
    read.hasLooked = true
    lookTime = now + limits.retryInterval
    lookNeedsAnswer = true
    statistics.witnessChecks += 1
    return .check
  }

  /// Takes the outcome of fetching a plan's bytes.
  public mutating func fetched(_ read: inout PortionRead, _ outcome: FetchOutcome, now: UInt64) {
    guard case .fetching = read.phase, let plan = read.plan else { return }
    read.outcome = outcome
    switch outcome {
    case .complete where !plan.readsMedia:
      _ = finish(&read)
    case .complete, .damaged:
      read.phase = .checking(ticket: checks.nextTicket)
    case .sourceFailed(.thawed(let reason)):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .sourceFailed(.failed(let reason)):
      _ = fail(&read, .unreadable(reason))
    case .sourceFailed(.unreachable(let reason)):
      retreat(&read)
      read.lastFailure = reason
      read.resumeTime = now + limits.retryInterval
    }
  }

  private mutating func afterCheck(_ read: inout PortionRead, ticket: UInt64, now: UInt64) -> Step {
    guard checks.serves(ticket) else { return check(&read, now: now) }
    read.waitDeadline = nil
    guard let registration = underWay[read.id], !registration.isOvertaken else {
      return discard(&read, now: now)
    }
    if registration.plan.media.isSubset(of: matched) { return accept(&read) }
    return ask(&read, now: now)
  }

  private mutating func check(_ read: inout PortionRead, now: UInt64) -> Step {
    guard checks.begin() else { return wait(&read, now: now) }
    read.waitDeadline = nil
    statistics.witnessChecks += 1
    return .check
  }

  /// Waits for a round of somebody else, but not for ever: one medium whose path
  /// hangs must not hold up every read without end.
  private mutating func wait(_ read: inout PortionRead, now: UInt64) -> Step {
    let deadline = read.waitDeadline ?? now + limits.remapTimeout
    read.waitDeadline = deadline
    guard now < deadline else {
      return fail(&read, .unreadable("a witness check or a question does not come back"))
    }
    return .pause(until: deadline)
  }

  private mutating func ask(_ read: inout PortionRead, now: UInt64) -> Step {
    let ticket = questions.nextTicket
    read.phase = .asking(ticket: ticket)
    return afterAnswer(&read, ticket: ticket, now: now)
  }

  private mutating func afterAnswer(
    _ read: inout PortionRead, ticket: UInt64, now: UInt64
  ) -> Step {
    if let thawed { return fail(&read, .thawed(thawed)) }
    guard questions.serves(ticket) else {
      if questions.isUnderWay { return wait(&read, now: now) }
      // When the last question failed a moment ago, asking at once is vain.
      if now < retryTime { return expired(&read, now: now) ?? .pause(until: retryTime) }
      guard checks.serves(foundTicket) else { return check(&read, now: now) }
      _ = questions.begin()
      read.waitDeadline = nil
      defer { wanted = [] }
      return .ask(MappingQuestion(known: known, found: found, portions: wanted))
    }
    read.waitDeadline = nil
    guard let inStep else {
      read.lastFailure = unanswered
      if let step = expired(&read, now: now) { return step }
      read.hasAsked = false
      read.resumeTime = retryTime
      // Bytes that are at hand may pass yet: perhaps the check only fell between
      // the writes of one commit.
      if underWay[read.id] == nil {
        read.phase = .planning
      } else {
        read.phase = .checking(ticket: checks.nextTicket)
      }
      return .pause(until: retryTime)
    }
    guard let registration = underWay[read.id] else {
      read.phase = .planning
      return next(&read, now: now)
    }
    guard !registration.isOvertaken, registration.plan.media.isSubset(of: inStep) else {
      return discard(&read, now: now)
    }
    return accept(&read)
  }

  /// The mapping held when the bytes were read: they are the image's, unless the
  /// medium itself is damaged.
  private mutating func accept(_ read: inout PortionRead) -> Step {
    guard case .damaged(let damage) = read.outcome else { return finish(&read) }
    if damage.isMismatch { statistics.checksumMismatches += 1 }
    retreat(&read)
    return readThrough(&read, damage.reason)
  }

  private mutating func discard(_ read: inout PortionRead, now: UInt64) -> Step {
    statistics.discardedReads += 1
    read.vainAttempts += 1
    retreat(&read)
    if read.vainAttempts >= limits.attempts {
      return readThrough(&read, "its place keeps changing")
    }
    return next(&read, now: now)
  }

  /// Takes a read back to where it has no plan.
  private mutating func retreat(_ read: inout PortionRead) {
    underWay[read.id] = nil
    read.plan = nil
    read.hasAsked = false
    read.hasLooked = false
    read.phase = .planning
  }

  private mutating func readThrough(_ read: inout PortionRead, _ reason: String) -> Step {
    read.phase = .readingThrough(reason: reason)
    return .readThrough(reason: reason)
  }

  /// Takes the outcome of reading the portion through the production host.
  public mutating func readThrough(
    _ read: inout PortionRead, failed error: SourceError?, now: UInt64
  ) {
    guard case .readingThrough = read.phase else { return }
    switch error {
    case nil:
      statistics.reads += 1
      statistics.productionHostBytes += UInt64(read.portion.range.count)
      read.phase = .finished
    case .thawed(let reason):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .failed(let reason):
      _ = fail(&read, .unreadable(reason))
    case .unreachable(let reason):
      // Perhaps the storage has it by then.
      retreat(&read)
      read.vainAttempts = 0
      read.lastFailure = reason
      read.resumeTime = now + limits.retryInterval
    }
  }

  /// Fails the read when it has waited for as long as it may.
  private mutating func expired(_ read: inout PortionRead, now: UInt64) -> Step? {
    let deadline = read.deadline ?? now + limits.remapTimeout
    read.deadline = deadline
    guard now >= deadline else { return nil }
    let reason = read.lastFailure ?? unanswered ?? "no answer came in time"
    return fail(&read, .unreadable("its place cannot be validated: \(reason)"))
  }

  private mutating func finish(_ read: inout PortionRead) -> Step {
    underWay[read.id] = nil
    statistics.reads += 1
    for piece in read.plan?.pieces ?? [] {
      let count = piece.range.upperBound - piece.range.lowerBound
      switch piece.source {
      case .media: statistics.storageBytes += count
      case .productionHost: statistics.productionHostBytes += count
      case .inline: statistics.representationBytes += count
      case .zeros: break
      }
    }
    read.phase = .finished
    return .finished
  }

  private mutating func fail(_ read: inout PortionRead, _ error: ReadError) -> Step {
    underWay[read.id] = nil
    statistics.errors += 1
    read.phase = .failed(error)
    return .failed(error)
  }
}
