public import FrozenImage

/// What a witness check found.
public struct WitnessFindings: Sendable {
  /// The witness of one medium.
  public struct Witness: Sendable {
    /// Whose witness it is.
    public let medium: MediumID
    /// What counts of the medium's witness probe.
    public let bytes: [UInt8]
    /// The incarnation that showed it.
    public let incarnation: Incarnation

    public init(medium: MediumID, bytes: [UInt8], incarnation: Incarnation) {
      self.medium = medium
      self.bytes = bytes
      self.incarnation = incarnation
    }
  }

  /// What every medium showed that could be read; one for each.
  public var witnesses: [Witness] = []
  /// The media that could not be read, or are not the ones that the image names.
  public var unreadable: Set<MediumID> = []

  public init() {}
}

/// What is known of the witness on the media.
///
/// Each finished check replaces what the one before found. Each answer, and each new
/// incarnation of a medium, takes back that the media showed the known state.
struct WitnessKnowledge: Sendable {
  private(set) var checks = Rounds()
  private(set) var incarnations = Incarnations()
  /// What the last check found on the media.
  private(set) var found: ConfigurationID
  /// The incarnations that it found that on.
  private var witnesses: [WitnessFindings.Witness] = []
  /// Media that showed no witness at the last check.
  private var unreadable: Set<MediumID> = []
  /// Media that the last answer called behind; empty again once a check matched.
  private var behind: Set<MediumID> = []
  /// The media whose witness the last check matched with the known state; empty when a
  /// witness differed.
  private var matched: Set<MediumID> = []
  /// The first check that began after the last answer came. Before it has finished, `found`
  /// would tell the provider of witnesses older than the state that it is asked about, and
  /// every medium would seem behind.
  private var firstSinceAnswer: UInt64 = 0
  /// Checks before this one looked where the witness was under other media: what they find
  /// says nothing of the state that is known now.
  private var firstOfMedia: UInt64 = 0

  init(found: ConfigurationID) {
    self.found = found
  }

  /// Begins a round of checks; `false` while one is under way.
  mutating func beginCheck() -> Bool { checks.begin() }

  /// Takes what the check that is under way found.
  mutating func checked(_ findings: WitnessFindings, known: ConfigurationID) {
    checks.finish()
    witnesses = findings.witnesses
    found = ConfigurationID(
      entries: witnesses.map { ConfigurationID.Entry(medium: $0.medium, bytes: $0.bytes) })
    unreadable = findings.unreadable
    let holds =
      checks.finished >= firstOfMedia
      && witnesses.allSatisfy { incarnations[$0.medium] == $0.incarnation }
      && known.entries.allSatisfy { found[$0.medium] == $0.bytes }
    guard holds else {
      matched = []
      return
    }
    behind = []
    // They are forgotten when the known state moves on.
    if matched.isEmpty { matched = Set(known.entries.map(\.medium)) }
  }

  /// Media showed no witness to somebody who looked beside the rounds.
  mutating func lose(_ media: Set<MediumID>) {
    unreadable.formUnion(media)
    matched = []
  }

  /// The incarnations of the media whose witness the last check found.
  var foundOn: [MediumID: Incarnation] {
    Dictionary(
      witnesses.map { ($0.medium, $0.incarnation) }, uniquingKeysWith: { _, last in last })
  }

  /// The known state moved on to that of an answer.
  ///
  /// - Parameter mediaChanged: whether the media, or where their witness lies, changed.
  mutating func answered(behind: Set<MediumID>, mediaChanged: Bool) {
    if mediaChanged { firstOfMedia = checks.nextTicket }
    firstSinceAnswer = checks.nextTicket
    self.behind = behind
    matched = []
  }

  mutating func beginIncarnation(of medium: MediumID) -> Incarnation {
    matched = []
    return incarnations.begin(medium)
  }

  /// Whether the last check proves what was read from these media, as they are installed.
  func proves(_ media: Set<MediumID>) -> Bool { media.isSubset(of: matched) }

  /// Whether `found` is of a check that began after the last answer.
  var isFresh: Bool { checks.serves(firstSinceAnswer) }

  /// Whether media are behind, and no check has matched since.
  var someAreBehind: Bool { !behind.isEmpty && matched.isEmpty }

  /// Media from which nothing may be read at present.
  func lost(of media: [MediumDescription], known: ConfigurationID) -> Set<MediumID> {
    var lost = unreadable.union(behind)
    for medium in media where known[medium.id] == nil { lost.insert(medium.id) }
    return lost
  }
}
