import Freezing
import FrozenImage
import HostSystem
import ImageService
import Jobs
import LogicalRepresentation

/// What `floe backup` tells; the JSON form's keys are part of floe's interface.
struct BackupReport: Encodable {
  /// An image of the backup.
  struct Image: Encodable {
    /// What the job knows it by.
    var name: String
    /// In the catalogue.
    var image: String
    var id: String
    /// The path that was frozen.
    var source: String
    /// Regular files of the image, and their bytes.
    var files: UInt64
    var bytes: UInt64
    /// Parts that could not be read when it was frozen.
    var unreadable: UInt64
    /// For how long nobody could write to it; absent where that is not known.
    var quiet_seconds: Double?
    /// Of the job; absent when it did not end over this image.
    var exit_status: Int32?
    /// Why it failed.
    var reason: String?
    /// How often the job was started.
    var attempts: UInt32
    /// What its mount counted: reads that were answered, and that failed.
    var reads: UInt64
    var errors: UInt64
    var storage_bytes: UInt64
    var production_host_bytes: UInt64
    var representation_bytes: UInt64
    var remaps: UInt64
    var discarded_reads: UInt64
    /// Whether it is thawed by now.
    var thawed: Bool
    /// Why it is not, where it was to be.
    var left_over: String?

    init(_ frozen: FreezeResult, name: String, source: String) {
      self.name = name
      image = frozen.name
      id = "\(frozen.id)"
      self.source = source
      files = frozen.files
      bytes = frozen.bytes
      unreadable = frozen.unreadable.count
      quiet_seconds = frozen.quietTime.map { Double($0 / 1_000_000) / 1000 }
      (attempts, reads, errors, storage_bytes) = (0, 0, 0, 0)
      (production_host_bytes, representation_bytes, remaps, discarded_reads) = (0, 0, 0, 0)
      thawed = false
    }

    /// Takes what the agent tells.
    mutating func take(_ news: RunNews.Image) {
      exit_status = news.exitStatus
      reason = news.reason.isEmpty ? nil : news.reason
      attempts = news.attempts
      reads = news.counts.reads
      errors = news.counts.failed
      storage_bytes = news.counts.storageBytes
      production_host_bytes = news.counts.productionHostBytes
      representation_bytes = news.counts.representationBytes
      remaps = news.counts.remaps
      discarded_reads = news.counts.discarded
    }
  }

  /// The run's identifier, as `floe jobs` has it.
  var run: String
  var job: String
  /// The backup host, as it was named.
  var to: String
  /// How the job's run ended: "succeeded", "failed", "cancelled", "lost".
  var state: String
  /// That of this command: the job's, and 1 where the job succeeded and there is a `hook_problem`.
  var exit_status: Int32
  /// Why it failed.
  var reason: String?
  /// Seconds since 1970.
  var began_seconds: Int64
  var ended_seconds: Int64
  /// From the begin of the hook before the freeze to the end of the hook behind it.
  var quiet_seconds: Double
  /// What went wrong with the hook behind the freeze.
  var hook_problem: String?
  var images: [Image]

  /// The report for people.
  var text: String {
    var lines = [
      "\(job) on \(to): \(state)" + (reason.map { ": \($0)" } ?? ""),
      "all was frozen within \(quiet_seconds) s, hooks included",
    ]
    if let hook_problem { lines.append("warning: \(hook_problem)") }
    for image in images {
      let status = image.exit_status.map { "exit status \($0)" } ?? "not run"
      lines.append(
        "\(image.name)  \(image.source)  \(image.files) files  \(Images.sizeText(image.bytes))  \(status)"
      )
      lines.append(
        "    \(Images.sizeText(image.storage_bytes)) from storage, "
          + "\(Images.sizeText(image.production_host_bytes)) through this host, \(image.remaps) "
          + "remaps, \(image.discarded_reads) reads thrown away, \(image.errors) failed")
      if image.unreadable > 0 {
        lines.append("    \(image.unreadable) parts could not be read at the freeze")
      }
      if let reason = image.reason { lines.append("    \(reason)") }
      if let left = image.left_over {
        lines.append("    still frozen as \(image.image): \(left)")
      } else if !image.thawed {
        lines.append("    still frozen as \(image.image)")
      }
    }
    return VisibleText.page(lines)
  }
}
