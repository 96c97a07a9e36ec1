package import FrozenImage
package import ImageReader

// Shorthand for tests in which nothing happens to the media while a read is at work.

extension ReadRule {
  /// The rule with every medium opened.
  package func withEveryMediumOpen() -> ReadRule {
    var rule = self
    for medium in media { _ = rule.beginIncarnation(of: medium.id) }
    return rule
  }

  /// The incarnations of all media that are installed now.
  package var incarnations: [MediumID: Incarnation] {
    var incarnations: [MediumID: Incarnation] = [:]
    for medium in media { incarnations[medium.id] = incarnation(of: medium.id) }
    return incarnations
  }

  /// Takes what a check found on the media that are installed now.
  package mutating func checked(found: ConfigurationID, unreadable: Set<MediumID>) {
    var findings = WitnessFindings()
    for entry in found.entries {
      guard let incarnation = incarnation(of: entry.medium) else { continue }
      findings.witnesses.append(
        WitnessFindings.Witness(
          medium: entry.medium, bytes: entry.bytes, incarnation: incarnation))
    }
    findings.unreadable = unreadable
    checked(findings)
  }

  /// Takes bytes that came from the media that are installed now.
  package mutating func fetched(_ read: inout PortionRead, _ outcome: FetchOutcome, now: UInt64) {
    fetched(&read, outcome, from: incarnations, now: now)
  }
}
