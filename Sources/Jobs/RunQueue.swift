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
    /// What two runs must not have at the same time: the paths of their mounts.
    let places: Set<String>
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
      && running.allSatisfy { $0.places.isDisjoint(with: entry.places) }
  }

  /// Forgets a run, whether it waits or runs.
  mutating func remove(_ id: UniqueIdentifier) {
    waiting.removeAll { $0.id == id }
    running.removeAll { $0.id == id }
  }
}
