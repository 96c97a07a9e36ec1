package import FrozenImage
import ImageReader
import Logging
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

  package init() {}

  /// Finds the media, and verifies the identity of each.
  ///
  /// - Parameter taken: is told of each.
  /// - Throws: an error that names the medium that is not there, is another one, or may not be
  ///   taken.
  package func makeReader(
    of image: OpenedImage, volume: VolumeDescription, taken: TakenMedia = TakenMedia()
  ) throws -> BlockingReader {
    let host = OwnHost(image)
    let finder = self.finder(for: image, on: host, followsPaths: false, taken)
    let trusting = self.finder(
      for: image, on: host, followsPaths: image.owner != nil, taken)
    try finder.checkNames(against: volume.media)
    var options = BlockingReader.Options()
    options.limits.remapTimeout = UInt64(remapTimeout * 1e9)
    options.limits.roundTimeout = options.limits.remapTimeout
    // Where nobody can be asked, waiting helps only a commit that is half on the media.
    if !image.hasProductionHost {
      options.limits.remapTimeout = min(options.limits.remapTimeout, 1_000_000_000)
    }
    options.verifiesChecksums = verifiesChecksums
    options.readsEveryCopy = readsEveryCopy
    return try BlockingReader(
      representation: image.representation, volume: volume,
      media: MediaTable { description, witness in
        // What a service names later was not in the user's file.
        try (volume.media.contains(description) ? trusting : finder)
          .find(description, witness: witness)
      }, source: image.productionHost, options: options, logger: Logger(label: "floe.reader"))
  }

  private func finder(
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
