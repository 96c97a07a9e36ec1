import ArgumentParser
import FrozenImage
import HostSystem

struct Explain: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Show where a byte of a mounted file is right now.",
    discussion: """
      Prints every link of the chain, the medium and sector, the configuration ID, the data \
      checksum if there is one, and a dd line that reproduces the bytes without floe.
      """)

  @Argument(help: "A file on a mount of floe.")
  var file: String

  @Argument(help: "Bytes from the start of the file.")
  var offset: UInt64

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let bytes = try MountTable.control("\(ControlAttributes.explain)\(offset)", of: file)
    if let problem = JSON.report(ExplainProblem.self, from: bytes)?.problem {
      throw Failure(.failed, "\(file): \(problem)")
    }
    guard let report = JSON.report(ExplainReport.self, from: bytes) else {
      throw Failure(.malformed, "\(file): the mount gave an explanation that this floe cannot read")
    }
    print(json ? JSON.text(of: report) : report.text)
  }
}
