public import FrozenImage

// The read rule
// =============
// A read may be answered only if, after its last data read completed,
//   (a) a witness check began and found the configuration ID under which the
//       read's mapping is known to be valid, or
//   (b) the production host was asked and did not name the portion among what may
//       have changed since a state in which the mapping was known to be valid, and
//       none of the media read from is behind the volume,
// and every medium that it read from is still the incarnation that the check, or the check
// that the question told of, looked at (Incarnation.swift).
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
//
// A call that a driver never makes (an outcome of what was not to be done) traps. Whatever
// comes from a medium or from the production host is an outcome, and never traps.

/// The state of a volume's mapping as its readers share it, and the read rule.
public struct ReadRule: Sendable {
  /// How long, and how often, a read tries.
  public struct Limits: Sendable {
    /// Nanoseconds that a read waits for a valid mapping before it fails.
    public var remapTimeout: UInt64 = 30_000_000_000
    /// Nanoseconds that a read waits for another one's check or question to come back
    /// before it fails.
    public var roundTimeout: UInt64 = 30_000_000_000
    /// Nanoseconds between two questions while the production host cannot answer.
    public var retryInterval: UInt64 = 200_000_000
    /// Most nanoseconds between two questions in the background while nobody waits for a
    /// production host that gave no answer for a whole `remapTimeout`.
    public var probeInterval: UInt64 = 1_000_000_000
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

  /// How long, and how often, its reads try.
  public let limits: Limits
  /// What proves that a mapping held; without a witness only way (b) is open.
  public let validation: Validation
  /// The latest state of the mapping that is known.
  public internal(set) var known: MappingState
  /// What stores are made of, under that state.
  public internal(set) var map: StoreMap
  /// The media, under that state.
  public internal(set) var media: [MediumDescription]
  /// Why the image is gone for good; `nil` while it is not.
  public internal(set) var thawed: String? {
    didSet { endEpoch() }
  }
  /// Whether the media may be others than the production host's (see ReadRule+Doubt.swift).
  public internal(set) var isInDoubt = false {
    didSet { endEpoch() }
  }
  /// Counts what ended what reads knew without the lock (see Epoch.swift).
  public internal(set) var epochNumber: UInt64 = 1
  /// What was done so far.
  public var statistics = ReaderStatistics()

  /// What is known of the witness on the media, and which media are installed.
  var witness: WitnessKnowledge
  var lookout = MediumLookout.resting(until: 0)
  var questions = QuestionRounds()
  /// How the production host answered lately.
  var contact = HostContact()
  /// Which file bytes may lie elsewhere than the representation says.
  var overlay = Overlay()
  /// Whether an answer brought another map than the representation's.
  var mapIsNew = false
  /// The reads that have a plan, by a number of their own.
  var underWay: [UInt64: Registration] = [:]
  var lastReadID: UInt64 = 0

  struct Registration {
    var keys: Range<FileKey>
    var plan: ReadPlan
    var isOvertaken = false
  }

  /// A rule that knows what a representation tells, before any look at the media.
  public init(
    state: MappingState, map: StoreMap, media: [MediumDescription],
    validation: Validation = .witness, limits: Limits = Limits()
  ) {
    self.limits = limits
    self.validation = validation
    self.map = map
    self.media = media
    known = state
    witness = WitnessKnowledge(found: state.configurationID)
  }

  /// Why the last question had no answer; `nil` when it had one.
  public var unanswered: String? { questions.unanswered }

  /// Media from which nothing may be read at present.
  public var lost: Set<MediumID> { witness.lost(of: media, known: known.configurationID) }
}
