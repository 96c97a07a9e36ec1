import Catalogue
import FrozenImage
import Glibc
import HostChecks
import HostSystem
import ImageAccess
import ImageReader
import ImageService
import Media
import SystemPackage

/// What `floe doctor` looks at beyond this host itself: services, images and their media.
enum Examination {
  /// Reads a medium and, unless this host owns it, looks whether it is left alone.
  static func medium(at path: String, isOwn: Bool) -> [Finding] {
    let (medium, finding) = MediumCheck.look(at: path)
    guard let medium, !isOwn else { return [finding] }
    return [finding] + BystanderCheck().findings(for: medium)
  }

  // MARK: - A source

  /// Connects, and looks at the media of an image.
  ///
  /// - Throws: what is wrong with the words; what does not answer is a finding.
  static func source(
    _ text: String, _ request: ReaderRequest, cache: String
  ) throws -> [Finding] {
    if let endpoint = service(in: text) { return service(at: endpoint, text) }
    let source = try ImageSource(text)
    var findings: [Finding] = []
    if case .service(let address) = source {
      findings = service(at: address.endpoint, text)
      if findings.contains(where: { $0.check == .connection && $0.state == .wrong }) {
        return findings
      }
    }
    let image: OpenedImage
    do {
      image = try OpenedImage(
        source, cache: cache, mountpoint: nil,
        connect: RemoteImage.connector(timeouts: RemoteImage.Timeouts()))
    } catch {
      return findings + [unanswered(text, error)]
    }
    defer { image.close() }
    return findings + answers(of: image, text) + media(of: image, request)
  }

  /// The service that a text means, when it names no image of it.
  private static func service(in text: String) -> ServiceEndpoint? {
    guard ImageSource.isAddress(text), let endpoint = try? ServiceEndpoint(service: text) else {
      return nil
    }
    // Only the file tells a socket's path from a socket's path with an image behind it.
    guard case .unix(let path) = endpoint else { return endpoint }
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK ? endpoint : nil
  }

  /// Connects, and compares the clocks.
  private static func service(at endpoint: ServiceEndpoint, _ text: String) -> [Finding] {
    do throws(ServiceError) {
      let (connection, host) = try ServiceConnection.connect(to: endpoint)
      defer { connection.close() }
      let count = try connection.images().count
      let clock = connection.clockDifference.map {
        ClockCheck.finding(against: text, offset: $0.seconds, uncertainty: $0.uncertainty)
      }
      return [.ok(.connection, text, "\(host) answers; it has \(count) frozen images")]
        + (clock.map { [$0] } ?? [])
    } catch {
      return [unanswered(text, error)]
    }
  }

  private static func unanswered(_ subject: String, _ error: any Error) -> Finding {
    let message = "\(error)"
    let isAway = ErrorCode(of: error) == .unreachable
    return .wrong(
      .connection, subject, message,
      meaning: "no image can be mounted from there now",
      advice: isAway
        ? "look whether floe serve runs there (systemctl status floe), and whether ssh to that "
          + "host works without a password"
        : "floe images SERVICE lists what can be mounted there")
  }

  private static func answers(of image: OpenedImage, _ text: String) -> [Finding] {
    let name = image.serviceName
    guard image.hasProductionHost else {
      return [
        .note(
          .connection, text, "no production host can be asked about it",
          meaning: "once data move, only the storage itself can tell where they lie",
          advice: "freeze with --service, or mount with --service")
      ]
    }
    do throws(SourceError) {
      try image.productionHost.liveCheck()
      return [.ok(.connection, name, "it answers, and the image is frozen")]
    } catch {
      return [
        .wrong(
          .connection, name, "\(error)", meaning: "reads that need the production host fail",
          advice: "look at floe images and at floe serve on the production host")
      ]
    }
  }

  private static func media(of image: OpenedImage, _ request: ReaderRequest) -> [Finding] {
    let (looks, isOwn) = request.look(forMediaOf: image)
    var findings: [Finding] = []
    for look in looks {
      var paths = look.paths
      switch look.outcome {
      case .success(let entry):
        findings.append(.ok(.medium, look.medium.label, "\(entry.path), \(entry.origin)"))
        if !paths.contains(entry.path) { paths.append(entry.path) }
      case .failure(let failure):
        findings.append(
          .wrong(
            .medium, look.medium.label, "\(failure)", meaning: "a mount of the image is refused",
            advice: "name the right device with --medium \(look.medium.id)=PATH, if you know it"))
      }
      findings += paths.flatMap { medium(at: $0, isOwn: isOwn) }
    }
    if isOwn { findings.append(own(looks.map(\.medium.label).joined(separator: ", "))) }
    return findings
  }

  private static func own(_ media: String) -> Finding {
    .ok(.bystander, media, "this host is the production host of it and may use it")
  }

  // MARK: - This host

  /// Whether the service of this host's images answers.
  static func service(of catalogue: Catalogue) -> [Finding] {
    guard let images = try? catalogue.entries(), !images.isEmpty,
      let endpoint = try? ImageServer.defaultEndpoint(of: catalogue)
    else { return [] }
    let place = "\(endpoint)"
    do {
      let (connection, _) = try ServiceConnection.connect(to: endpoint)
      connection.close()
      return [.ok(.connection, place, "the service of this host answers")]
    } catch {
      return [
        .note(
          .connection, place,
          "the service of this host does not answer, and there are \(images.count) images",
          meaning: "no backup host can mount them, or ask where their data went",
          advice: "systemctl start floe, or floe serve")
      ]
    }
  }

  /// The mounts of this host, and the media that they read.
  static func mounts() -> [Finding] {
    let entries = ((try? MountEntry.all()) ?? []).filter { $0.type == "fuse.floe" }
    var findings: [Finding] = []
    var seen: Set<String> = []
    for (entry, row) in zip(entries, MountListReport(of: entries.map(\.mountpoint)).rows) {
      findings.append(finding(of: row))
      findings += MountReadAhead.finding(for: entry).map { [$0] } ?? []
      guard let bytes = try? MountTable.control(ControlAttributes.status, of: row.mountpoint),
        let status = JSON.report(StatusReport.self, from: bytes)
      else { continue }
      let isOwn = (try? ServiceAddress(status.production_host.address))?.isOnThisHost ?? false
      let paths = status.media.compactMap(\.path).filter { seen.insert($0).inserted }
      findings += paths.flatMap { medium(at: $0, isOwn: isOwn) }
      if isOwn, !paths.isEmpty { findings.append(own(paths.joined(separator: ", "))) }
    }
    return findings
  }

  private static func finding(of row: MountListReport.Row) -> Finding {
    switch row.state {
    case "working":
      return .ok(
        .connection, row.mountpoint, "every read of \(row.image ?? "it") was answered so far")
    case "unknown":
      return .note(.connection, row.mountpoint, row.problem ?? "nothing is known of this mount")
    case "dead":
      return .wrong(
        .connection, row.mountpoint, "the process that served it is gone",
        meaning: "every access to it fails",
        advice: "floe umount \(VisibleText.shellWord(row.mountpoint))")
    default:
      return .wrong(
        .connection, row.mountpoint,
        row.state == "thawed" ? "its image was thawed" : "reads failed, or fail now",
        meaning: "what is copied from it is not complete",
        advice: "floe status \(VisibleText.shellWord(row.mountpoint)) says why")
    }
  }
}
