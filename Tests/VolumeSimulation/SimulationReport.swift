/// What goes wrong in a simulated run, beside the moves themselves.
package enum Fault: Int, CaseIterable, Sendable {
  /// The production host stops, loses what is not committed, and starts again.
  case crash
  /// Reads of a medium fail for a while, its witness included.
  case inputOutputError
  /// One read of data brings too few bytes.
  case shortRead
  /// A reply of the production host gets lost.
  case lostReply
  /// A reply takes long.
  case slowReply
  /// The backup host starts again from the representation.
  case readerRestart
  /// A medium falls out of the volume and is written by somebody else.
  case mediumLost
  /// The image is given up, and its blocks are overwritten.
  case thaw
  /// The backup host loses a medium's device, and finds the medium again.
  case mediumVanished
  /// The device that the backup host has open turns out to be another one: reads bring a
  /// stranger's bytes until the medium is found again.
  case mediumReplaced

  /// How many runs in a hundred have it.
  var share: Int {
    switch self {
    case .crash, .lostReply, .slowReply: 60
    case .inputOutputError, .shortRead, .readerRestart, .mediumVanished, .mediumReplaced: 40
    case .mediumLost: 20
    case .thaw: 10
    }
  }
}

/// What happened in simulated runs.
package struct SimulationReport: Sendable, Equatable, CustomStringConvertible {
  package var seeds = 0
  /// Reads whose bytes were accepted, and compared.
  package var reads = 0
  package var bytes = 0
  /// Of the reads, those that took no lock of the rule.
  package var quickReads = 0
  package var wrongBytes = 0
  /// Reads that ended with an error.
  package var failedReads = 0
  /// Readers that did not get through although nothing moved or failed any more.
  package var stuckReaders = 0
  package var discardedReads = 0
  package var remaps = 0
  package var questions = 0
  /// Of the questions, those that the storage answered.
  package var storageAnswers = 0
  /// Questions that were asked in the background.
  package var probes = 0
  package var moves = 0
  package var copiesOnWrite = 0
  /// By the raw value of the fault.
  package var faults = [Int](repeating: 0, count: Fault.allCases.count)

  package init() {}

  package var isRight: Bool { wrongBytes == 0 && stuckReaders == 0 }

  package static func += (total: inout SimulationReport, run: SimulationReport) {
    total.seeds += run.seeds
    total.reads += run.reads
    total.bytes += run.bytes
    total.quickReads += run.quickReads
    total.wrongBytes += run.wrongBytes
    total.failedReads += run.failedReads
    total.stuckReaders += run.stuckReaders
    total.discardedReads += run.discardedReads
    total.remaps += run.remaps
    total.questions += run.questions
    total.storageAnswers += run.storageAnswers
    total.probes += run.probes
    total.moves += run.moves
    total.copiesOnWrite += run.copiesOnWrite
    total.faults = zip(total.faults, run.faults).map { $0 + $1 }
  }

  package var description: String {
    let faults = Fault.allCases.map { "\($0) \(self.faults[$0.rawValue])" }
    return """
      \(seeds) seeds, \(reads) reads (\(bytes) bytes), \(quickReads) without the lock, \(failedReads) failed, \
      \(discardedReads) stale reads thrown away, \(remaps) remaps, \(questions) questions, \
      \(storageAnswers) answered by the storage, \(probes) asked in the background
      \(moves) moves, \(copiesOnWrite) copies on write
      faults: \(faults.joined(separator: ", "))
      \(wrongBytes) wrong bytes, \(stuckReaders) stuck readers
      """
  }
}
