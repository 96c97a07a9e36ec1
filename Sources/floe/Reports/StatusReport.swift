import FrozenImage
import Glibc
import ImageReader
import LinuxIO

/// What `floe status` tells; the JSON form's keys are part of floe's interface.
struct StatusReport: Codable {
  struct Bytes: Codable {
    var storage: UInt64
    /// Those of `storage` that were decoded from compressed runs.
    var decoded: UInt64
    var production_host: UInt64
    var representation: UInt64
  }

  struct ProductionHost: Codable {
    var address: String
    /// Whether it answers now.
    var reachable: Bool
    /// What it says against the image, or why it does not answer.
    var problem: String?
  }

  struct Medium: Codable {
    var id: String
    var label: String
    /// Where this host has it open; absent when it has not.
    var path: String?
    /// Whether it is read from at present.
    var usable: Bool
  }

  var image: String
  var image_id: String
  var configuration_id: String
  var production_host: ProductionHost
  var reads: UInt64
  var remaps: UInt64
  var discarded_reads: UInt64
  var witness_checks: UInt64
  var questions: UInt64
  var checksum_mismatches: UInt64
  var errors: UInt64
  var bytes: Bytes
  var media: [Medium]
  /// Parts of the image that could not be read when it was frozen.
  var unreadable_count: UInt64?
  /// The first of them.
  var unreadable: [UnreadableReport]?
  /// Why the image is gone for good.
  var thawed: String?
  /// The process that serves the mount.
  var pid: Int32

  init(
    image: String, imageID: String, address: String, live: SourceError?, status: ReaderStatus,
    unreadable: UnreadableList, paths: (ReaderStatus) -> [String?]
  ) {
    let counts = status.statistics
    self.image = image
    image_id = imageID
    configuration_id = status.known.configurationID.reportText
    production_host = ProductionHost(
      address: address, reachable: Self.isReachable(live), problem: live?.description)
    reads = counts.reads
    remaps = counts.remaps
    discarded_reads = counts.discardedReads
    witness_checks = counts.witnessChecks
    questions = counts.questions
    checksum_mismatches = counts.checksumMismatches
    errors = counts.errors
    bytes = Bytes(
      storage: counts.storageBytes, decoded: counts.decodedBytes,
      production_host: counts.productionHostBytes,
      representation: counts.representationBytes)
    media = zip(status.media, paths(status)).map { medium, path in
      Medium(
        id: medium.id.description, label: medium.label, path: path,
        usable: path != nil && !status.lost.contains(medium.id))
    }
    unreadable_count = unreadable.count
    self.unreadable = unreadable.parts
    thawed = status.thawed
    pid = getpid()
  }

  private static func isReachable(_ live: SourceError?) -> Bool {
    if case .unreachable? = live { false } else { true }
  }

  private var unreadableLines: [String] {
    guard let count = unreadable_count, count > 0 else { return [] }
    let shown = unreadable ?? []
    return ["unreadable        \(count) since the freeze"] + shown.map { "  \($0.text)" }
      + (count > UInt64(shown.count)
        ? ["  \(count - UInt64(shown.count)) more, which floe inspect --json lists"] : [])
  }

  /// The report for people.
  var text: String {
    var lines = [
      "image             \(image) (\(image_id))",
      "configuration ID  \(abbreviated(configurationID: configuration_id))",
      "production host   \(production_host.address), "
        + (production_host.reachable ? "reachable" : "NOT reachable")
        + (production_host.problem.map { ": \($0)" } ?? ""),
    ]
    for medium in media {
      lines.append(
        "medium            \(medium.label): \(medium.path ?? "not found")"
          + (medium.usable ? "" : " (NOT used)"))
    }
    lines += [
      "reads             \(reads) answered, \(errors) failed",
      "bytes             \(bytes.storage) from storage (\(bytes.decoded) decoded), "
        + "\(bytes.production_host) through the "
        + "production host, \(bytes.representation) from the representation",
      "witness checks    \(witness_checks)",
      "questions         \(questions)",
      "remaps            \(remaps)",
      "thrown away       \(discarded_reads) reads",
      "bad checksums     \(checksum_mismatches)",
    ]
    lines += unreadableLines
    if let thawed { lines.append("thawed            \(thawed)") }
    return lines.joined(separator: "\n")
  }
}
