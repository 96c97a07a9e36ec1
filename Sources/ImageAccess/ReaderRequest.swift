package import FrozenImage
import HostSystem
import ImageReader
import Logging
import LogicalRepresentation
package import Media
package import VerifiedReading

/// How an image is to be read, as the user asked for it.
package struct ReaderRequest {
  /// Paths of media, by the name that the user gave.
  package var media: [String: String] = [:]
  /// Seconds.
  package var remapTimeout: Double = 30
  /// Whether bytes are compared with the volume's data checksums.
  package var verifiesChecksums = true
  /// Whether every copy of mirrored data is judged.
  package var readsEveryCopy = false
  /// What media may be taken that the user did not name.
  package var limits: [MediaPatterns] = []
  /// Who answers questions.
  package var answers = AnswerChoice.storage
  /// What may answer from the media, in the order in which they are asked whether they can.
  package var storageAnswerers: [StorageAnswerer] = []

  package init() {}

  /// Finds the media, and verifies the identity of each.
  ///
  /// - Parameters:
  ///   - taken: is told of each.
  ///   - tally: is told of each answer.
  /// - Throws: an error that names the medium that is not there, is another one, or may not be
  ///   taken.
  package func makeReader(
    of image: OpenedImage, volume: VolumeDescription, taken: TakenMedia = TakenMedia(),
    tally: AnswerTally = AnswerTally()
  ) throws -> BlockingReader {
    let host = OwnHost(image)
    let finder = self.finder(for: image, on: host, followsPaths: false, taken)
    let trusting = self.finder(
      for: image, on: host, followsPaths: image.owner != nil, taken)
    try finder.checkNames(against: volume.media)
    let isOfCopies = answers == .media
    if isOfCopies { try requireNames(finder, volume) }
    var options = BlockingReader.Options()
    options.limits.remapTimeout = UInt64(remapTimeout * 1e9)
    options.limits.roundTimeout = options.limits.remapTimeout
    options.verifiesChecksums = verifiesChecksums
    options.readsEveryCopy = readsEveryCopy
    let table = MediaTable { description, witness in
      if isOfCopies { return try finder.findNamedAlone(description) }
      // What a service names later was not in the user's file.
      return try (volume.media.contains(description) ? trusting : finder)
        .find(description, witness: witness)
    }
    let media = OpenMedia(medium: { table[$0] }) { description in
      try isOfCopies ? finder.findNamedAlone(description) : finder.findSole(description)
    }
    let storage = try storageAnswers(of: image, volume, media)
    if isOfCopies, storage == nil {
      throw Failure(
        .unsupported,
        "the media of “\(image.representation.image.name)” do not tell where it lies, so "
          + "--answers media cannot be had")
    }
    if !image.hasProductionHost { limitAlone(&options.limits, canAsk: storage != nil) }
    let sources = AnswerSources(
      answers, storage: storage?.host, host: image.productionHost,
      hasHost: image.hasProductionHost, tally: tally, patience: options.limits.remapTimeout,
      hostKnowsMore: { storage?.hostKnowsMore() ?? false })
    let reader = try BlockingReader(
      representation: image.representation, volume: volume, media: table, source: sources,
      options: options, logger: Logger(label: "floe.reader"))
    if isOfCopies { try requireOneMoment(finder, volume, table) }
    sources.follow { [weak reader] isInDoubt in reader?.setDoubt(isInDoubt) }
    // The reader has found its media, and nobody takes one before it.
    try storage?.follow()
    // A host that has just sent the representation is there to be asked.
    if image.owner == nil { try requireHostsMedia(sources, volume) }
    try sources.watchHost()
    return reader
  }

  /// - Throws: `Failure` where the media here are others than the production host's.
  private func requireHostsMedia(
    _ sources: AnswerSources, _ volume: VolumeDescription
  ) throws(Failure) {
    // Whoever does not answer now is asked again later.
    guard let others = try? sources.compareMedia(), !others.isEmpty else { return }
    let labels = volume.media.filter { others.contains($0.id) }.map(\.label)
    let list = labels.isEmpty ? "a medium" : labels.joined(separator: ", ")
    throw Failure(
      .medium,
      "\(list) does not show here what the production host reads of it, and nothing changes on it "
        + "meanwhile: it is a clone, or a replica that stayed behind; name the right device with "
        + "--medium, or take it away from this host"
        + (volume.media.allSatisfy { others.contains($0.id) } ? Self.copiesAdvice : ""))
  }

  private static let copiesAdvice =
    ". Where this host has copies of all media of one moment, mount the file of the representation "
    + "with --answers media, and name each with --medium"

  /// How long reads try where there is no production host.
  ///
  /// - Parameter canAsk: whether the storage answers.
  private func limitAlone(_ limits: inout ReadRule.Limits, canAsk: Bool) {
    if canAsk {
      // Nobody reads for a portion that moves again and again.
      limits.attempts = Self.attemptsAlone
    } else {
      // Where nobody can be asked, waiting helps only a commit that is half on the media.
      limits.remapTimeout = min(limits.remapTimeout, 1_000_000_000)
    }
  }

  /// Times that a portion is read in vain where there is no production host to read it.
  private static let attemptsAlone = 1000

  /// Who answers from the media; `nil` where they do not tell, or are not to be asked.
  private func storageAnswers(
    of image: OpenedImage, _ volume: VolumeDescription, _ media: OpenMedia
  ) throws -> StorageAnswers? {
    guard answers != .host else { return nil }
    for answerer in storageAnswerers {
      if let found = try answerer(image.representation, volume, media) { return found }
    }
    return nil
  }

  func finder(
    for image: OpenedImage, on host: OwnHost, followsPaths: Bool, _ taken: TakenMedia
  ) -> MediumFinder {
    MediumFinder(
      named: media,
      trust: MediumTrust(
        owner: image.owner, followsPaths: followsPaths,
        isOfThisHost: followsPaths && image.isFileOfThisHost, limits: limits,
        isOwnHost: { host.isSeen }),
      onTaken: { taken.note($0, $1, $2) })
  }
}
