import FrozenImage

/// Which run comes next: in the order in which they were asked for, but nobody waits for one
/// that has to wait itself.
struct RunQueue {
  /// What counts of a run.
  struct Entry: Hashable {
    let id: UniqueIdentifier
    let job: String
    /// Most runs of its job at once.
    let limit: Int
    /// The production host, which has a directory of its own.
    let host: String
    /// To whom that directory is open then; `nil` for a run that does not mind.
    let user: String?
    /// The mounts in it, which two runs must not have at the same time; `nil` for all.
    let places: Set<String>?

    /// Whether one of the two has to wait for the other.
    func collides(with other: Entry) -> Bool {
      guard host == other.host else { return false }
      if let user, let otherUser = other.user, user != otherUser { return true }
      guard let places, let otherPlaces = other.places else { return true }
      return !places.isDisjoint(with: otherPlaces)
    }
  }

  /// Most runs at once.
  let atOnce: Int
  /// Most runs that wait.
  let maximumWaiting: Int
  private(set) var waiting: [Entry] = []
  private(set) var running: [Entry] = []

  init(atOnce: Int, maximumWaiting: Int) {
    self.atOnce = atOnce
    self.maximumWaiting = maximumWaiting
  }

  /// Puts a run at the end; `false` when too many wait already.
  mutating func add(_ entry: Entry) -> Bool {
    guard waiting.count < maximumWaiting || (waiting.isEmpty && mayRun(entry)) else { return false }
    waiting.append(entry)
    return true
  }

  /// Takes the next run that may run; `nil` when there is none now.
  mutating func next() -> Entry? {
    guard let index = waiting.firstIndex(where: mayRun) else { return nil }
    let entry = waiting.remove(at: index)
    running.append(entry)
    return entry
  }

  private func mayRun(_ entry: Entry) -> Bool {
    running.count < atOnce && running.count { $0.job == entry.job } < entry.limit
      && !running.contains { $0.collides(with: entry) }
  }

  /// Forgets a run, whether it waits or runs.
  mutating func remove(_ id: UniqueIdentifier) {
    waiting.removeAll { $0.id == id }
    running.removeAll { $0.id == id }
  }
}
