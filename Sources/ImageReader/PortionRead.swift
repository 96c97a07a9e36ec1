public import FrozenImage

/// One read of a portion on its way through the read rule (see `ReadRule`).
public struct PortionRead: Sendable {
  /// What is read: the rule takes it as one, all or nothing.
  public let portion: Portion
  let content: PortionContent
  var phase = Phase.planning(Planning())
  var patience = ReadPatience()
  /// Where its first bytes on a medium were last thought to be, for messages.
  public internal(set) var lastPlace: MediumAddress?

  init(portion: Portion, content: PortionContent) {
    self.portion = portion
    self.content = content
  }

  /// What is wrong with bytes whose mapping held, for which the portion is being read through
  /// the production host.
  public var damage: FetchOutcome.Damage? {
    guard case .readingThrough(let call) = phase else { return nil }
    return call.damage
  }

  /// Where a read is on its way, and what it holds there.
  enum Phase: Sendable {
    /// It has no bytes, and needs a plan.
    case planning(Planning)
    /// It has no plan, and waits for a question that began after the ticket was taken.
    case locating(Planning, ticket: UInt64)
    /// The driver fetches its bytes.
    case fetching(Fetch)
    /// It waits for a check that began after the ticket was taken.
    case checking(Bytes, ticket: UInt64)
    /// It waits for a question that began after the ticket was taken.
    case validating(Bytes, ticket: UInt64)
    /// The driver reads it through the production host.
    case readingThrough(Call)
    case finished
    case failed(ReadError)
  }

  /// What was tried to make a plan.
  struct Planning: Sendable {
    /// Whether the place was asked for.
    var hasAsked = false
    /// Whether lost media were looked at: once for each plan, as a check that takes long must
    /// not lead to the next one.
    var hasLooked = false
  }

  /// A plan whose bytes are being fetched.
  struct Fetch: Sendable {
    /// What it is registered as.
    let id: UInt64
    let plan: ReadPlan
    /// Whether some medium was lost when the plan was made.
    let lacksMedia: Bool
    /// When its calls to the production host begin, if it makes any.
    let callBegan: UInt64
  }

  /// Bytes that were fetched, and are to be accepted or thrown away.
  struct Bytes: Sendable {
    /// What they are registered as.
    let id: UInt64
    let plan: ReadPlan
    let outcome: FetchOutcome
    /// The incarnation of each medium that they came from.
    let incarnations: [MediumID: Incarnation]
  }

  /// A call that reads the whole portion through the production host.
  struct Call: Sendable {
    let began: UInt64
    let damage: FetchOutcome.Damage?
  }

  /// What its plan is registered as; `nil` while it has none.
  var registration: UInt64? {
    switch phase {
    case .fetching(let fetch): fetch.id
    case .checking(let bytes, _), .validating(let bytes, _): bytes.id
    case .planning, .locating, .readingThrough, .finished, .failed: nil
    }
  }
}

/// What came of fetching a plan's bytes.
public enum FetchOutcome: Sendable {
  /// Every byte was read, and every data checksum matched.
  case complete
  /// No copy of some bytes could be read, or none matched its data checksum. If
  /// the mapping held, the medium is damaged; if not, this was a stale read.
  case damaged(Damage)
  /// A piece that the production host had to give could not be had.
  case sourceFailed(SourceError)

  /// Why no copy of some bytes serves.
  public struct Damage: Sendable {
    /// Medium, place and what is wrong, in one sentence.
    public let reason: String

    public init(reason: String) {
      self.reason = reason
    }
  }
}
