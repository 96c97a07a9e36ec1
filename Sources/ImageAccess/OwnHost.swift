import HostSystem
import Synchronization

/// Whether the image's service was seen to run on this very host.
///
/// What was seen once is remembered: when the service is gone later, the media that it told
/// of are this host's all the same, and another path to one of them may be needed just then.
final class OwnHost: Sendable {
  private let image: OpenedImage
  /// What somebody else's file says of media is not what the service says.
  private let isTrusted: Bool
  private let wasSeen = Mutex(false)

  init(_ image: OpenedImage) {
    self.image = image
    isTrusted = image.owner?.isTrusted ?? true
    // A service that has just sent the representation is there to be looked at; one that a
    // file names may not be, and is waited for only when it matters.
    if image.owner == nil { _ = isSeen }
  }

  var isSeen: Bool {
    guard isTrusted else { return false }
    if wasSeen.withLock({ $0 }) { return true }
    let isHere = image.isServiceOnThisHost
    if isHere { wasSeen.withLock { $0 = true } }
    return isHere
  }
}
