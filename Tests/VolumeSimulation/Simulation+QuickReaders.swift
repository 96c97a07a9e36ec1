import FrozenImage
import ImageReader

// What a reader does that takes no lock of the rule while nothing moves (`Epoch`): the part of
// the driver's `readQuickly`.

extension Simulation {
  /// Begins a read in the present epoch; `false` when there is none, or the read has to follow
  /// the rule.
  mutating func beginQuickly(_ index: Int, _ portion: Portion) -> Bool {
    guard let epoch = rule.epoch,
      let plan = epoch.plan(portion, content: content(of: portion.range))
    else { return false }
    readers[index].epoch = epoch
    beginFetch(index, plan, of: portion)
    return true
  }

  /// Every block was fetched: now the reader makes a check of its own.
  mutating func fetchedQuickly(
    _ index: Int, _ plan: ReadPlan, _ outcome: FetchOutcome, in epoch: Epoch
  ) {
    guard case .complete = outcome else { return followRule(index, plan, outcome, epoch) }
    guard mutation != .quickReadsMakeNoCheck else {
      return epoch.number == rule.epochNumber
        ? accept(index) : followRule(index, plan, outcome, epoch)
    }
    readers[index].quickPlan = plan
    readers[index].activity = .checking(WitnessFindings(), next: 0)
  }

  mutating func checkedQuickly(_ index: Int, _ findings: WitnessFindings, in epoch: Epoch) {
    guard let plan = readers[index].quickPlan else { return }
    if !findings.unreadable.isEmpty { rule.lose(findings.unreadable) }
    guard epoch.confirms(findings, of: readers[index].incarnations),
      epoch.number == rule.epochNumber
    else { return followRule(index, plan, .complete, epoch) }
    report.quickReads += 1
    accept(index)
  }

  /// The rule takes the read over.
  private mutating func followRule(
    _ index: Int, _ plan: ReadPlan, _ outcome: FetchOutcome, _ epoch: Epoch
  ) {
    let blocks = readers[index].range
    let size = SimulatedVolume.blockSize
    let range = UInt64(blocks.lowerBound) * size..<UInt64(blocks.upperBound) * size
    readers[index].epoch = nil
    readers[index].read = rule.takeOver(
      Portion(inode: 1, range: range), content: content(of: range), plan, outcome,
      from: readers[index].incarnations, in: epoch)
    readers[index].activity = .ready
  }
}
