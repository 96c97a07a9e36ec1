import Testing
import VolumeSimulation

/// Reads of a volume that moves and fails (`Simulation`). `swift run -c release simulate`
/// runs more seeds, a hundred times as fast, and replays one that failed here.
@Suite struct ReadRuleSimulationTests {
  private func run(
    _ seed: UInt64, _ change: (inout Simulation) -> Void = { _ in }
  ) throws -> SimulationReport {
    var simulation = try Simulation(seed: seed)
    change(&simulation)
    try simulation.run()
    return simulation.report
  }

  /// Whether one of some seeds accepts a wrong byte.
  private func isSeen(_ change: (inout Simulation) -> Void) throws -> Bool {
    for seed in 0..<200 as Range<UInt64> where try run(seed, change).wrongBytes > 0 {
      return true
    }
    return false
  }

  @Test func neverAcceptsAStaleByteAndLeavesNoReaderStuck() throws {
    var total = SimulationReport()
    for seed in 0..<60 as Range<UInt64> {
      let report = try run(seed)
      #expect(report.wrongBytes == 0, "seed \(seed)")
      #expect(report.stuckReaders == 0, "seed \(seed)")
      total += report
    }
    print(total)
    // Every part of the rule was at work, and every fault happened.
    #expect(total.reads > 0)
    #expect(total.quickReads > 0)
    #expect(total.discardedReads > 0)
    #expect(total.remaps > 0)
    #expect(total.copiesOnWrite > 0)
    #expect(total.probes > 0)
    #expect(total.storageAnswers > 0)
    for fault in Fault.allCases { #expect(total.faults[fault.rawValue] > 0, "\(fault)") }
  }

  @Test func aSeedReplaysExactly() throws {
    for seed in 0..<20 as Range<UInt64> { #expect(try run(seed) == run(seed)) }
  }

  /// A rule whose checks prove nothing must be caught: the proof that the simulation
  /// can see a stale read.
  @Test(arguments: [
    Simulation.Mutation.checksAlwaysMatch, .checksBeginTooEarly, .checksReadOneMedium,
    .quickReadsMakeNoCheck, .mediaKeepTheirIncarnation, .storageTagsLate,
  ])
  func aRuleWithoutOneOfItsPartsIsSeen(_ mutation: Simulation.Mutation) throws {
    #expect(try isSeen { $0.mutation = mutation })
  }

  /// And so must a production host that does not keep its duties.
  @Test(arguments: [
    SimulatedVolume.Mutation.givesOutUncommitted, .reusesGenerations,
    .overwritesBeforeTheWitness, .hidesWhatIsBehind, .hidesSkippedStates,
  ])
  func aProductionHostWithoutOneOfItsDutiesIsSeen(_ mutation: SimulatedVolume.Mutation) throws {
    #expect(try isSeen { $0.volume.mutation = mutation })
  }
}
