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
  mutating func fetchedQuickly(_ index: Int, _ outcome: FetchOutcome, in epoch: Epoch) {
    guard case .complete = outcome else { return followRule(index, wasThrownAway: false) }
    guard mutation != .quickReadsMakeNoCheck else {
      return epoch.number == rule.epochNumber ? accept(index) : followRule(index)
    }
    readers[index].activity = .checking(WitnessFindings(), next: 0)
  }

  mutating func checkedQuickly(_ index: Int, _ findings: WitnessFindings, in epoch: Epoch) {
    guard epoch.confirms(findings, of: readers[index].incarnations),
      epoch.number == rule.epochNumber
    else { return followRule(index) }
    report.quickReads += 1
    accept(index)
  }

  /// Nothing is known of the bytes: the read begins again by the rule.
  private mutating func followRule(_ index: Int, wasThrownAway: Bool = true) {
    let blocks = readers[index].range
    let size = SimulatedVolume.blockSize
    let range = UInt64(blocks.lowerBound) * size..<UInt64(blocks.upperBound) * size
    let portion = Portion(inode: 1, range: range)
    readers[index].epoch = nil
    readers[index].read =
      wasThrownAway
      ? rule.beginAgain(portion, content: content(of: range))
      : rule.begin(portion, content: content(of: range))
    readers[index].activity = .ready
  }
}
