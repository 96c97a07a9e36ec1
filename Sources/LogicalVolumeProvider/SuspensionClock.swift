/// How long an origin stood still, and whether it has to be set going, from what is seen of it
/// now and then.
struct SuspensionClock {
  /// Nanoseconds.
  let limit: UInt64
  private var since: UInt64?
  /// Whether what goes on began while the own command ran: others suspend volumes as well.
  private var isOwn = false
  private var wasRunning = true
  /// Nanoseconds for which it was seen suspended.
  private(set) var quiet: UInt64 = 0
  /// Whether a suspension reached the limit, whoever ended it, or was left behind.
  private(set) var wasForced = false

  /// - Parameter limit: nanoseconds.
  init(limit: UInt64) { self.limit = limit }

  /// Whether a suspension goes on that may be the own command's.
  var isSuspended: Bool { since != nil && isOwn }

  /// Takes a look into account.
  ///
  /// - Parameters:
  ///   - now: nanoseconds of a clock that never goes back.
  ///   - status: how the own command ended, as was known before the look; `nil` while it ran.
  /// - Returns: whether the device has to be resumed.
  mutating func look(isSuspended: Bool, at now: UInt64, status: Int32?) -> Bool {
    // One that ended since the last look may have left what is seen now.
    let mayBeOwn = wasRunning
    wasRunning = status == nil
    guard isSuspended else {
      if let since, isOwn { end(after: now - since) }
      since = nil
      return false
    }
    if since == nil { (since, isOwn) = (now, mayBeOwn) }
    guard let since, isOwn else { return false }
    let isLeft = status.map { $0 != 0 } ?? false
    guard isLeft || now - since > limit else { return false }
    wasForced = true
    return true
  }

  private mutating func end(after time: UInt64) {
    quiet += time
    if time > limit { wasForced = true }
  }
}
