public import FrozenImage

/// One read of a portion on its way through the read rule (see `ReadRule`).
public struct PortionRead: Sendable {
  public let portion: Portion
  let content: PortionContent
  var phase = Phase.planning
  var id: UInt64 = 0
  var plan: ReadPlan? {
    didSet { lastPlace = plan?.firstPlace ?? lastPlace }
  }
  /// Where its first bytes on a medium were last thought to be, for messages.
  public private(set) var lastPlace: MediumAddress?
  var outcome = FetchOutcome.complete
  /// What was wrong with the bytes of the last fetch although their mapping held.
  public internal(set) var damage: FetchOutcome.Damage?
  /// Times that bytes were thrown away, or that the place stayed unknown.
  var vainAttempts = 0
  /// Whether the place was asked for since the last plan.
  var hasAsked = false
  /// Whether lost media were looked at since the last plan.
  var hasLooked = false
  /// When to give up, in nanoseconds of the driver's clock; set when the production host
  /// is needed, and forgotten when it answered at once.
  var deadline: UInt64?
  /// When its last call to the production host began.
  var callBegan: UInt64 = 0
  /// When to stop waiting for the round that it waits for now.
  var waitDeadline: UInt64?
  /// Whether some medium was lost when the plan was made.
  var lacksMedia = false
  /// Not to be tried again before.
  var resumeTime: UInt64 = 0
  var lastFailure: String?

  init(portion: Portion, content: PortionContent) {
    self.portion = portion
    self.content = content
  }

  enum Phase: Sendable {
    case planning
    case fetching
    case checking(ticket: UInt64)
    case asking(ticket: UInt64)
    case readingThrough(reason: String)
    case finished
    case failed(ReadError)
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
