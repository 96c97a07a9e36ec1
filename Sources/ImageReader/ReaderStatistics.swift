/// What a reader did since it started. Counts only grow.
public struct ReaderStatistics: Sendable, Equatable {
  /// Reads that were answered.
  public var reads: UInt64 = 0
  /// Reads that failed.
  public var errors: UInt64 = 0
  /// Data that was read from a medium and thrown away, because its mapping might
  /// have changed meanwhile, or the medium was lost or replaced.
  public var discardedReads: UInt64 = 0
  /// Reads whose bytes turned out to lie elsewhere than last known. The driver counts them.
  public var remaps: UInt64 = 0
  /// Rounds of witness checks.
  public var witnessChecks: UInt64 = 0
  /// Questions to the production host that were answered.
  public var questions: UInt64 = 0
  /// States of the mapping that became known after the first.
  public var configurationChanges: UInt64 = 0
  /// Runs of bytes on a medium whose data checksum did not match, although their mapping
  /// held; also where another copy served. The driver counts them.
  public var checksumMismatches: UInt64 = 0
  /// Bytes answered from the storage media.
  public var storageBytes: UInt64 = 0
  /// Those of `storageBytes` that were decoded from compressed runs.
  public var decodedBytes: UInt64 = 0
  /// Bytes answered through the production host.
  public var productionHostBytes: UInt64 = 0
  /// Bytes answered from the representation (inline data).
  public var representationBytes: UInt64 = 0

  public init() {}

  /// Counts a read that was answered as a plan says.
  public mutating func count(_ plan: ReadPlan) {
    reads += 1
    for piece in plan.pieces {
      let count = piece.range.upperBound - piece.range.lowerBound
      switch piece.source {
      case .media: storageBytes += count
      case .compressed:
        storageBytes += count
        decodedBytes += count
      case .productionHost: productionHostBytes += count
      case .inline: representationBytes += count
      case .zeros, .unreadable: break
      }
    }
  }

  /// What two ways of reading did together.
  public static func + (left: ReaderStatistics, right: ReaderStatistics) -> ReaderStatistics {
    var sum = left
    sum.reads += right.reads
    sum.errors += right.errors
    sum.discardedReads += right.discardedReads
    sum.remaps += right.remaps
    sum.witnessChecks += right.witnessChecks
    sum.questions += right.questions
    sum.configurationChanges += right.configurationChanges
    sum.checksumMismatches += right.checksumMismatches
    sum.storageBytes += right.storageBytes
    sum.decodedBytes += right.decodedBytes
    sum.productionHostBytes += right.productionHostBytes
    sum.representationBytes += right.representationBytes
    return sum
  }
}
