import ArgumentParser
import FrozenImage
import HostSystem

struct Status: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Show what a mount did and whether its production host answers, or list all mounts.",
    discussion: """
      Without MOUNTPOINT: every mount of this host, a line each; the exit status is the highest \
      of theirs.

      Exit status: 0 when every read was answered so far, 1 when nothing can be shown, 2 when the \
      image was thawed or is no longer what was frozen, 3 when reads failed, or those fail now \
      that need the production host.
      """)

  @Argument(help: "Where the image is mounted.")
  var mountpoint: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    guard let mountpoint else {
      let report = MountListReport(of: MountTable.mountpoints)
      print(json ? JSON.text(of: report) : report.text)
      guard report.exitStatus == 0 else { throw SilentExit(status: report.exitStatus) }
      return
    }
    guard MountTable.hasFloe(at: mountpoint) else {
      throw Failure(.notFound, "no image is mounted on \(mountpoint)")
    }
    let bytes = try MountTable.control(ControlAttributes.status, of: mountpoint)
    guard let report = JSON.report(StatusReport.self, from: bytes) else {
      throw Failure(.malformed, "\(mountpoint) gave a status that this floe cannot read")
    }
    print(json ? JSON.text(of: report) : report.text)
    if let status = report.state?.exitStatus, status != 0 { throw SilentExit(status: status) }
  }
}
