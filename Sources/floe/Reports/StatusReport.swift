import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageReader
import LogicalRepresentation
import VerifiedReading

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
    /// Since when it gave no answer, in seconds since 1970: reads that need it fail at once,
    /// until it does. Absent while reads wait for it.
    var silent_since_seconds: Int64?
  }

  /// Who said where the image lies, and how often.
  struct Answers: Codable {
    /// The storage itself.
    var storage: UInt64
    var production_host: UInt64
    /// Of both, about one state.
    var compared: UInt64?
    /// Whether the storage can answer for this image at all.
    var storage_can_answer: Bool
    /// Why the storage did not answer last.
    var storage_problem: String?
    /// Why no read is accepted for what the media show; absent while it is.
    var doubt: String?

    init(_ counts: AnswerTally.Counts) {
      storage = counts.storage
      production_host = counts.productionHost
      compared = counts.compared > 0 ? counts.compared : nil
      storage_can_answer = counts.canUseStorage
      storage_problem = counts.problem
      doubt = counts.doubt
    }
  }

  /// How full a snapshot is.
  struct Fill: Codable {
    /// What fills up: the snapshot, or the pool that holds it.
    var title: String
    /// Of the fuller of the two that follow.
    var fill_percent: Double
    var data_percent: Double
    var metadata_percent: Double?
    /// What is so, and from 80 % on what to do.
    var sentence: String

    init(_ fill: SnapshotFill) {
      title = fill.title
      fill_percent = fill.percent
      data_percent = fill.data
      metadata_percent = fill.metadata
      sentence = fill.sentence
    }
  }

  /// Why reads failed.
  struct Failure: Codable {
    var reason: String
    var count: UInt64
    /// When last, in seconds since 1970.
    var last_seconds: Int64
    /// What was read last.
    var inode: UInt64
    var offset: UInt64
  }

  /// What the exit status says.
  enum State: String, Codable {
    /// Every read was answered, as far as was asked.
    case working
    /// A read failed since the image was mounted, those fail now that need the production
    /// host, or the media here are not that host's.
    case failing
    /// The image is gone for good.
    case thawed

    /// The exit status of `floe status`.
    var exitStatus: Int32 {
      switch self {
      case .working: 0
      case .thawed: 2
      case .failing: 3
      }
    }
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
  /// Absent from a mount of an older floe.
  var state: State?
  var configuration_id: String
  var production_host: ProductionHost
  /// How full the snapshot is that the image lies on, as the production host says; absent where
  /// nothing fills up, or it does not say.
  var snapshot: Fill?
  var reads: UInt64
  var remaps: UInt64
  var discarded_reads: UInt64
  var witness_checks: UInt64
  var questions: UInt64
  /// Absent from a mount of an older floe.
  var answers: Answers?
  var checksum_mismatches: UInt64
  var errors: UInt64
  /// The last reasons, the newest first.
  var failures: [Failure]?
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
    image: String, imageID: String, address: String, live: SourceError?, fill: SnapshotFill?,
    answers: AnswerTally.Counts, status: ReaderStatus, unreadable: UnreadableList,
    paths: (ReaderStatus) -> [String?]
  ) {
    let counts = status.statistics
    self.image = image
    image_id = imageID
    configuration_id = status.known.configurationID.reportText
    production_host = ProductionHost(
      address: address, reachable: Self.isReachable(live), problem: live?.description,
      silent_since_seconds: status.outage?.sinceSeconds)
    snapshot = fill.map(Fill.init)
    reads = counts.reads
    remaps = counts.remaps
    discarded_reads = counts.discardedReads
    witness_checks = counts.witnessChecks
    questions = counts.questions
    self.answers = Answers(answers)
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
    // An extended attribute has 64 KiB at the most.
    self.unreadable = unreadable.reports(room: 16 << 10)
    thawed = status.thawed
    if case .thawed(let reason)? = live { thawed = thawed ?? reason }
    failures = status.failures.map { failure in
      Failure(
        reason: failure.reason, count: failure.count, last_seconds: failure.lastSeconds,
        inode: failure.inode, offset: failure.offset)
    }
    let isFailing =
      counts.errors > 0 || status.outage != nil || !status.failures.isEmpty
      || answers.doubt != nil
    state = thawed != nil ? .thawed : isFailing ? .failing : .working
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
    if let since = production_host.silent_since_seconds {
      lines.append(
        "                  no answer since \(TimeText.local(since)): reads that need one fail at "
          + "once, until it answers")
    }
    if let snapshot { lines.append("snapshot          \(snapshot.sentence)") }
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
    ]
    if let answers {
      lines.append(
        "answers           \(answers.storage) from the storage"
          + (answers.storage_can_answer ? "" : " (which cannot tell)")
          + ", \(answers.production_host) from the production host"
          + (answers.compared.map { ", \($0) compared" } ?? ""))
    }
    if let problem = answers?.storage_problem {
      lines.append("                  the storage did not tell last: \(problem)")
    }
    if let doubt = answers?.doubt {
      lines.append("IN DOUBT          \(doubt): each read has to ask, or fails")
    }
    lines += [
      "remaps            \(remaps)",
      "thrown away       \(discarded_reads) reads",
      "bad checksums     \(checksum_mismatches)",
    ]
    for failure in failures ?? [] {
      lines.append(
        "failed            \(failure.count) reads, last \(TimeText.local(failure.last_seconds)) "
          + "(inode \(failure.inode) at byte \(failure.offset)): \(failure.reason)")
    }
    lines += unreadableLines
    if let thawed { lines.append("thawed            \(thawed)") }
    return VisibleText.page(lines)
  }
}
