import ArgumentParser

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a mount did and whether its production host answers.")

  @Argument(help: "Where the image is mounted.")
  var mountpoint: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    guard MountTable.hasFloe(at: mountpoint) else {
      throw Failure("no image is mounted on \(mountpoint)")
    }
    let bytes = try MountTable.control(ControlAttributes.status, of: mountpoint)
    guard let report = JSON.report(StatusReport.self, from: bytes) else {
      throw Failure("\(mountpoint) gave a status that this floe cannot read")
    }
    print(json ? JSON.text(of: report) : report.text)
  }
}
