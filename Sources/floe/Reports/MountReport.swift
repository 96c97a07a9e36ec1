import FrozenImage
import HostSystem
import ImageAccess
import Media

/// What `floe mount` tells; the JSON form's keys are part of floe's interface.
struct MountReport: Encodable {
  struct Medium: Encodable {
    var id: String
    var label: String
    /// Where this host has it open.
    var path: String
    /// Where the production host had it.
    var recorded_path: String
    /// Why it was taken.
    var found: String
  }

  var image: String
  var id: String
  var mountpoint: String
  /// Who answers questions about the image.
  var service: String
  /// "mounted".
  var state: String
  var media: [Medium]

  init(_ image: ImageDescription, at mountpoint: String, service: String, media: TakenMedia) {
    self.image = image.name
    id = image.id.description
    self.mountpoint = mountpoint
    self.service = service
    state = "mounted"
    let taken = media.report()
    self.media = taken.map {
      Medium(
        id: $0.medium.id.description, label: $0.medium.label, path: $0.path,
        recorded_path: $0.medium.path, found: $0.origin.description)
    }
    lines = taken.map(\.description)
  }

  private var lines: [String]

  private enum CodingKeys: String, CodingKey {
    case image, id, mountpoint, service, state, media
  }

  var text: String {
    VisibleText.page(["\(mountpoint): the image \(image) (\(id))"] + lines)
  }
}
