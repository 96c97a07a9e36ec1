/// Whether two hosts agree on the time.
public enum ClockCheck {
  /// Seconds from which on a difference is an error: logs and reports of the two hosts cannot be
  /// put in order, and what expires does so at another time on each.
  public static let tolerance: Double = 5

  /// - Parameters:
  ///   - address: of the production host.
  ///   - offset: its clock less this host's, in seconds.
  ///   - uncertainty: half of the time that the answer took, in seconds.
  public static func finding(
    against address: String, offset: Double, uncertainty: Double
  ) -> Finding {
    let amount = max(0, abs(offset) - uncertainty)
    let tenths = (abs(offset) * 10).rounded() / 10
    guard amount > tolerance else {
      return .ok(.clock, address, "its clock and this host's agree to \(tenths) s")
    }
    return .wrong(
      .clock, address, "its clock is \(tenths) s \(offset > 0 ? "ahead of" : "behind") this host's",
      meaning: "times in logs, reports and lists of images of the two hosts do not fit together",
      advice: "run a time service (chrony, systemd-timesyncd) on both")
  }
}
