package import FrozenImage
import HostSystem
import ImageReader
package import LogicalRepresentation
package import VerifiedReading

/// What `floe verify` found; the JSON form's keys are part of floe's interface.
package struct VerificationManifest: Encodable {
  /// The version of this form.
  package var format = 1
  /// The image's name.
  package var image: String
  /// The image's UUID.
  package var image_id: String
  /// What was frozen, as the production host names it.
  package var source: String
  /// The production host's name.
  package var host: String
  /// Seconds since 1970.
  package var frozen_seconds: Int64
  /// Seconds since 1970, by this host's clock.
  package var began_seconds: Int64
  /// Seconds since 1970, by this host's clock.
  package var ended_seconds: Int64
  /// What the data was compared with, or "none".
  package var data_checksums: String
  /// Regular files that were read.
  package var files: UInt64
  /// Bytes that were read; holes are not.
  package var bytes: UInt64
  /// States of the mapping that came and went meanwhile.
  package var configuration_ids_crossed: UInt64
  /// The last one that was known, as reports show it.
  package var configuration_id: String
  /// Reads whose bytes were thrown away, as their place may have changed.
  package var reads_thrown_away: UInt64
  /// Portions whose place was asked for again.
  package var remaps: UInt64
  /// Copies that are damaged on their medium, also where another copy had the bytes.
  package var mismatch_count: Int
  /// The first of them.
  package var mismatches: [Verification.Mismatch]
  /// Files that cannot be read as a whole.
  package var unreadable_count: Int
  /// The first of them.
  package var unreadable: [Verification.Unreadable]

  /// The end is now; findings are put in order by their paths.
  package init(
    _ representation: Representation, _ volume: VolumeDescription, _ status: ReaderStatus,
    _ findings: Verification.Findings, began: Timestamp
  ) {
    let description = representation.image
    image = description.name
    image_id = "\(description.id)"
    source = description.source
    host = description.host
    frozen_seconds = description.created.seconds
    began_seconds = began.seconds
    ended_seconds = Timestamp.now.seconds
    data_checksums = volume.checksum.map { "\($0)" } ?? "none"
    files = findings.files
    bytes = findings.bytes
    configuration_ids_crossed = status.statistics.configurationChanges
    configuration_id = status.known.configurationID.reportText
    reads_thrown_away = status.statistics.discardedReads
    remaps = status.statistics.remaps
    mismatch_count = findings.mismatchCount
    unreadable_count = findings.unreadableCount
    mismatches = findings.mismatches.sorted { ($0.path, $0.offset) < ($1.path, $1.offset) }
    unreadable = findings.unreadable.sorted { $0.path < $1.path }
  }
}
