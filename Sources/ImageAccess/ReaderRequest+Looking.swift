package import FrozenImage
import HostSystem
import LogicalRepresentation
package import Media

/// Where the media of an image are on this host, for somebody who does not read them yet.
package struct MediumLook: Sendable {
  /// The medium as the image describes it.
  package let medium: MediumDescription
  /// Where it is and why it would be taken, as a mount prints it; or why it would not be.
  package let outcome: Result<TakenMedia.Entry, MediumFinder.Failure>
  /// All devices of this host that show its bytes, also those that would not be taken.
  package let paths: [String]
}

extension ReaderRequest {
  /// Looks for each medium as a mount would.
  ///
  /// - Returns: an entry for each medium of the image's volumes, and whether the image's service
  ///   runs on this very host, which then owns the media.
  package func look(forMediaOf image: OpenedImage) -> (media: [MediumLook], isOwnHost: Bool) {
    let host = OwnHost(image)
    let taken = TakenMedia()
    let finder = self.finder(for: image, on: host, followsPaths: image.owner != nil, taken)
    var looks: [MediumLook] = []
    for medium in image.representation.volumes.flatMap(\.media)
    where !looks.contains(where: { $0.medium.id == medium.id }) {
      let outcome: Result<TakenMedia.Entry, MediumFinder.Failure>
      do throws(MediumFinder.Failure) {
        let (found, origin) = try finder.findWithOrigin(medium)
        outcome = .success(TakenMedia.Entry(medium: medium, path: found.path, origin: origin))
      } catch {
        outcome = .failure(error)
      }
      looks.append(
        MediumLook(medium: medium, outcome: outcome, paths: finder.paths(showing: medium)))
    }
    return (looks, host.isSeen)
  }
}
