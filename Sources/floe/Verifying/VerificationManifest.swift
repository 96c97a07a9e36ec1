import Crypto
import FoundationEssentials
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import SystemPackage
import VerifiedReading

/// What `floe verify` found; the JSON form's keys are part of floe's interface.
struct VerificationManifest: Encodable {
  /// The version of this form.
  var format = 1
  var image: String
  var image_id: String
  var source: String
  var host: String
  /// Seconds since 1970.
  var frozen_seconds: Int64
  var began_seconds: Int64
  var ended_seconds: Int64
  /// What the data was compared with, or "none".
  var data_checksums: String
  var files: UInt64
  var bytes: UInt64
  /// States of the mapping that came and went meanwhile.
  var configuration_ids_crossed: UInt64
  var configuration_id: String
  var reads_thrown_away: UInt64
  var remaps: UInt64
  /// Copies that are damaged on their medium, also where another copy had the bytes.
  var mismatch_count: Int
  /// The first of them.
  var mismatches: [Verification.Mismatch]
  /// Files that cannot be read as a whole.
  var unreadable_count: Int
  /// The first of them.
  var unreadable: [Verification.Unreadable]

  init(
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

  /// The report for people.
  var text: String {
    var lines = [
      "image             \(image) (\(image_id))",
      "read              \(files) files, \(bytes) bytes",
      "data checksums    \(data_checksums)",
      "configuration IDs \(configuration_ids_crossed) crossed, \(remaps) remaps, "
        + "\(reads_thrown_away) reads thrown away",
      "damaged copies    \(mismatch_count)",
      "unreadable files  \(unreadable_count)",
    ]
    let unlisted = mismatch_count - mismatches.count + unreadable_count - unreadable.count
    if unlisted > 0 { lines.append("not listed        \(unlisted) more of these") }
    lines += mismatches.map { "  \($0.path) at \($0.offset): \($0.reason)" }
    lines += unreadable.map { "  \($0.path): \($0.reason)" }
    return VisibleText.page(lines)
  }
}

/// A private key that signs manifests: ECDSA over P-256 and SHA-256, as
/// `openssl dgst -sha256 -verify` checks it.
struct SigningKey {
  private let key: P256.Signing.PrivateKey

  /// - Parameter path: a PEM file, as `openssl ecparam -name prime256v1 -genkey` or
  ///   `openssl genpkey` writes it.
  /// - Throws: `Failure` when it cannot be read or is no such key.
  init(path: String) throws {
    let text = try String(decoding: Self.contents(of: path), as: UTF8.self)
    // `ecparam -genkey` writes the curve's name before the key.
    let lines = text.split(separator: "\n").drop {
      !($0.hasPrefix("-----BEGIN") && $0.contains("PRIVATE KEY"))
    }
    do {
      key = try P256.Signing.PrivateKey(pemRepresentation: lines.joined(separator: "\n"))
    } catch {
      throw Failure("\(path) is no private key of the curve P-256 in PEM form")
    }
  }

  private static func contents(of path: String) throws -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      return try file.closeAfter {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
        return Array(bytes[..<count])
      }
    } catch {
      throw Failure("the signing key \(path) cannot be read: \(error)")
    }
  }

  /// The signature in DER form.
  func signature(of bytes: [UInt8]) throws -> [UInt8] {
    Array(try key.signature(for: bytes).derRepresentation)
  }
}
