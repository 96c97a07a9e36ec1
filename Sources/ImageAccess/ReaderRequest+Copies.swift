import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import Media
import VerifiedReading

/// A mount of copies of all media of one moment (`AnswerChoice.media`): nobody compares them with
/// the production host's, so a set that is mixed of copies and originals would not be found out.
extension ReaderRequest {
  /// - Throws: `Failure` where the user did not name each medium that the image needs.
  func requireNames(_ finder: MediumFinder, _ volume: VolumeDescription) throws(Failure) {
    let missing = volume.media.filter { medium in
      volume.state.configurationID[medium.id] != nil && !finder.isNamed(medium)
    }
    guard !missing.isEmpty else { return }
    throw Failure(
      .invalid,
      "with --answers media each medium is named, as nobody else can tell a copy from what it was "
        + "made of: give --medium ID=PATH for "
        + missing.map { "\($0.label) (\($0.id))" }.joined(separator: ", "))
  }

  /// - Throws: `Failure` where some media are the hardware that was frozen, and others are not.
  func requireOneMoment(
    _ finder: MediumFinder, _ volume: VolumeDescription, _ media: MediaTable
  ) throws(Failure) {
    var originals: [String] = []
    var copies: [String] = []
    for description in volume.media {
      guard let medium = media[description.id],
        let isFrozen = finder.isFrozenHardware(medium, of: description)
      else { continue }
      if isFrozen { originals.append(medium.path) } else { copies.append(medium.path) }
    }
    guard !originals.isEmpty, !copies.isEmpty else { return }
    throw Failure(
      .medium,
      "\(originals.joined(separator: ", ")) is the hardware that was frozen, and "
        + "\(copies.joined(separator: ", ")) is other hardware: they are not of one moment; "
        + "with --answers media name copies of all media of one moment")
  }
}
