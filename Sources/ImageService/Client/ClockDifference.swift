import FrozenImage

/// How two hosts' clocks differ, as one question and its answer show it.
public struct ClockDifference: Hashable, Sendable {
  /// The other clock less this one, in seconds.
  public let seconds: Double
  /// How far from the truth that may be, in seconds: half of the time that the answer took.
  public let uncertainty: Double

  /// - Parameters:
  ///   - milliseconds: what the other clock showed, since 1970; 0 for nothing, which gives `nil`.
  ///   - start: when this host asked, by its own clock.
  ///   - nanoseconds: how long the answer took.
  init?(of milliseconds: Int64, askedAt start: Timestamp, nanoseconds: UInt64) {
    guard milliseconds != 0 else { return nil }
    uncertainty = Double(nanoseconds) / 2e9
    let middle = Double(start.seconds) + Double(start.nanoseconds) / 1e9 + uncertainty
    seconds = Double(milliseconds) / 1000 - middle
  }
}
