import ArgumentParser
import VolumeSimulation

/// Runs the simulation of the read rule over as many seeds as one likes.
@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Read a simulated volume that moves and fails, and look at every byte.",
    discussion: "A seed decides everything, so that a run replays exactly.")

  @Option(help: "How many seeds to run.")
  var seeds: UInt64 = 1000

  @Option(help: "The first of them.")
  var from: UInt64 = 0

  @Option(help: "What happens in each run: steps of readers, the volume and faults.")
  var actions = 3000

  func validate() throws {
    guard !from.addingReportingOverflow(seeds).overflow else {
      throw ValidationError("there are not so many seeds from \(from) on")
    }
    guard actions >= 0 else { throw ValidationError("there are no fewer actions than none") }
  }

  func run() throws {
    var total = SimulationReport()
    var failed: [UInt64] = []
    for seed in from..<from + seeds {
      var simulation = try Simulation(seed: seed)
      try simulation.run(actions: actions)
      total += simulation.report
      if !simulation.report.isRight {
        failed.append(seed)
        print("seed \(seed) fails; replay it with --seeds 1 --from \(seed)")
        print(simulation.report)
      }
    }
    print(total)
    if !failed.isEmpty { throw ExitCode.failure }
  }
}
