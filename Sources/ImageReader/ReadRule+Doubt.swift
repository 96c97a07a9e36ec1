// A medium that is a clone of the right one shows the witness of the right one, until that moves
// on: it proves nothing of the right one's bytes, and nothing that a reader sees tells so. Who
// compares the media with what the production host sees of them tells the rule.

extension ReadRule {
  /// Takes whether the media may be others than the production host's.
  ///
  /// While that is so their witness proves nothing: way (a) is closed, and every read has to ask.
  /// What is under way is thrown away, also where an answer is waited for: that may be one that
  /// was made from these media.
  public mutating func setDoubt(_ isInDoubt: Bool) {
    guard isInDoubt != self.isInDoubt else { return }
    self.isInDoubt = isInDoubt
    guard isInDoubt else { return }
    for id in underWay.keys { underWay[id]?.isOvertaken = true }
  }
}
