import ArgumentParser
import Catalogue
import FrozenImage
import HostChecks
import HostSystem
import ImageAccess
import ImageService
import Media

struct Doctor: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Look at this host: what is wrong, what it means and what to do.",
    discussion: """
      Looks at the kernel, FUSE, the service and the mounts of this host; with SOURCE at the \
      connection to it and the image's media; with --device at a device. Of media on a backup \
      host: whether this host leaves them alone.

      Exit status: 0 when nothing is wrong, 4 when something is, 1 when it could not look.
      """)

  /// The exit status when something is wrong.
  static let wrong: Int32 = 4

  @Argument(
    help: "An image as of mount, or a service: ssh://[USER@]HOST, floe+unix:SOCKET or floe://HOST.")
  var source: String?

  @Option(
    help: ArgumentHelp(
      "Take the medium at PATH for the one that the image calls ID; may be repeated.",
      valueName: "ID=PATH"))
  var medium: [String] = []

  @Option(
    help: ArgumentHelp(
      "Look at this device or disk image as at a medium that another host owns; may be repeated.",
      valueName: "PATH"))
  var device: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while it is read.", valueName: "DIR"))
  var cache = "/var/tmp"

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var log: LogOptions

  func run() throws {
    LogDestination.use(background: false, log)
    var request = ReaderRequest()
    request.media = try ReaderRequest.media(from: medium)
    var findings = [KernelCheck.finding()] + FUSECheck().findings
    findings += device.map(HostPath.absolute).flatMap { Examination.medium(at: $0, isOwn: false) }
    if let source {
      findings += try Examination.source(source, request, cache: cache)
    } else if device.isEmpty {
      findings += Examination.service(of: state.catalogue) + Examination.mounts()
    }
    let report = DoctorReport(findings)
    print(json ? JSON.text(of: report) : report.text)
    guard report.wrong_count == 0 else { throw SilentExit(status: Self.wrong) }
  }
}
