import FrozenImage

/// The questions to the production host: who waits for the next one, and what came of the
/// last.
struct QuestionRounds: Sendable {
  /// What came of a question.
  enum Outcome: Sendable {
    /// The media that were in step, as they were installed when it was asked.
    case answered(inStep: [MediumID: Incarnation])
    /// Why there was no answer, and when to ask again at the earliest.
    case unanswered(reason: String, retryTime: UInt64)
  }

  /// A question that is under way.
  struct Asked: Sendable {
    /// When it began, in nanoseconds of the driver's clock.
    let began: UInt64
    /// The incarnations of the media whose witness it names.
    let foundOn: [MediumID: Incarnation]
  }

  private(set) var rounds = Rounds()
  private(set) var last: Outcome?
  private var asked: Asked?
  /// Portions whose place the next question asks for.
  private var wanted: [Portion] = []
  /// Portions whose bytes wait for the next question.
  private var validating: [Portion] = []

  mutating func want(_ portion: Portion) { wanted.append(portion) }

  mutating func validate(_ portion: Portion) { validating.append(portion) }

  /// Begins a question that serves everybody who waits for one; `nil` while one is under way.
  mutating func begin(
    known: MappingState, witness: WitnessKnowledge, now: UInt64
  ) -> MappingQuestion? {
    guard rounds.begin() else { return nil }
    asked = Asked(began: now, foundOn: witness.foundOn)
    defer {
      wanted = []
      validating = []
    }
    return MappingQuestion(
      known: known, found: witness.found, portions: wanted, validating: validating)
  }

  /// Ends the question that is under way.
  mutating func finish() -> Asked {
    guard let asked else { preconditionFailure("no question is under way") }
    self.asked = nil
    rounds.finish()
    return asked
  }

  mutating func note(_ outcome: Outcome) { last = outcome }

  /// What came of a question that began after the ticket was taken; `nil` before that.
  func outcome(for ticket: UInt64) -> Outcome? { rounds.serves(ticket) ? last : nil }

  /// Why the last question had no answer; `nil` when it had one.
  var unanswered: String? {
    guard case .unanswered(let reason, _) = last else { return nil }
    return reason
  }

  /// No question before this time: when the last one failed a moment ago, asking is vain.
  var retryTime: UInt64 {
    guard case .unanswered(_, let time) = last else { return 0 }
    return time
  }
}
