/// Group validation: one check (or one question) serves everybody who was ready
/// before it began, as one flush of a log serves every commit that waits for it.
///
/// At most one round is under way. Who needs a result that is newer than now takes
/// a ticket: the number of the first round that begins after now.
struct Rounds: Equatable {
  /// How many rounds have begun.
  private(set) var begun: UInt64 = 0
  /// How many rounds have finished; `begun` or one less.
  private(set) var finished: UInt64 = 0

  /// The first round that begins after now.
  var nextTicket: UInt64 { begun + 1 }

  var isUnderWay: Bool { begun > finished }

  /// Whether a round that began after the ticket was taken has finished.
  func serves(_ ticket: UInt64) -> Bool { finished >= ticket }

  /// Begins a round unless one is under way.
  mutating func begin() -> Bool {
    guard !isUnderWay else { return false }
    begun += 1
    return true
  }

  mutating func finish() {
    precondition(isUnderWay, "what did not begin cannot finish")
    finished = begun
  }
}
