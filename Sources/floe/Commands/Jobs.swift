import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import Jobs
import SystemPackage

struct JobsCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "jobs",
    abstract: "List what the agent of this backup host ran, and what waits.",
    discussion: """
      The oldest first, a line each: when it was asked for, the job, the production host, the images, \
      how it stands, its exit status, how long it took, the bytes that were read.
      """)

  @Option(
    name: .customLong("state"),
    help: ArgumentHelp("Where the history of runs is.", valueName: "DIR"))
  var directory = RunHistory.defaultDirectory

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    // A host on which no agent ran yet has none; another one was meant to be there.
    guard directory == RunHistory.defaultDirectory || access(directory, F_OK) == 0 else {
      throw Failure("there is no state directory \(directory)", cause: Errno(rawValue: errno))
    }
    let runs = try RunHistory(directory: directory).runs()
    if json { return print(JSON.text(of: runs)) }
    for run in runs { printLine(Self.line(run)) }
  }

  private static func line(_ run: RunRecord) -> String {
    let counts = run.images.map(\.counts).reduce(ReadCounts(), +)
    let took = run.began.flatMap { began in run.ended.map { "\(max($0 - began, 0)) s" } } ?? "-"
    let bytes = Images.sizeText(
      counts.storageBytes &+ counts.productionHostBytes &+ counts.representationBytes)
    return [
      TimeText.local(run.asked), run.job, run.host, run.images.map(\.label).joined(separator: ","),
      run.state.rawValue, run.exitStatus.map { "\($0)" } ?? "-", took, bytes, run.reason ?? "",
    ].joined(separator: "  ")
  }
}
