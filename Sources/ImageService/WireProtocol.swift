/// What this floe speaks; the first exchange compares it with the other end's.
enum WireProtocol {
  /// The versions of `floe.v1` that are spoken.
  static let versions: ClosedRange<UInt32> = 1...1

  /// Abilities that a server has and a client of this version cannot do without.
  static let capabilities: Set<String> = [
    "compressed-runs", "live-check", "read-portion", "sessions",
  ]

  /// The trailer of a status that the service itself chose.
  static let failureTrailer = "floe-failure"

  /// The trailer that names the state directory which a final “no” is about.
  static let stateDirectoryTrailer = "floe-state-directory"

  /// The highest version that both ends speak; `nil` when there is none.
  static func common(minimum: UInt32, maximum: UInt32) -> UInt32? {
    let version = min(maximum, versions.upperBound)
    return version >= max(minimum, versions.lowerBound) ? version : nil
  }
}
