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
  public internal(set) var thawed: String?
  /// Why the last question had no answer; `nil` when it had one.
  public internal(set) var unanswered: String?
  /// What the last check found on the media.
  public internal(set) var found: ConfigurationID
  /// What was done so far.
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
  /// Since when the production host gives no answer; `nil` when it gave one last.
  var outage: Outage?
  /// When a call to the production host was answered last.
  var lastAnswered: UInt64 = 0
  /// What the production host refuses while media are lost; `nil` while it does not.
  var refusal: Refusal?
  /// Whether the driver asks in the background.
  var isProbing = false
  /// When the question that is under way began.
  var questionBegan: UInt64 = 0
  /// Portions whose place the next question asks for.
  var wanted: [Portion] = []
  /// Portions whose bytes wait for the next question.
  var validating: [Portion] = []
  /// Whether the check that is under way looks where the witness was before the last
  /// answer: what it finds says nothing of the state that is known now.
  var checkIsVoid = false
  var underWay: [UInt64: Registration] = [:]
  var lastReadID: UInt64 = 0
  var remapMemory: RemapMemory

  struct Registration {
    var keys: Range<FileKey>
    var plan: ReadPlan
    var isOvertaken = false
  }

  public init(
    state: MappingState, map: StoreMap, media: [MediumDescription],
    validation: Validation = .witness, limits: Limits = Limits()
  ) {
    self.limits = limits
    self.validation = validation
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
