import FrozenImage
import HostSystem
import ImageAccess
import StackProvider

extension ReaderRequest {
  /// What answers from the media themselves, a line each: a provider of which the media alone
  /// tell everything. The modules that read an image name none.
  static let allStorageAnswerers: [StorageAnswerer] = [
    { representation, volume, media in
      guard
        let source = StorageSource(
          representation, volume: volume, medium: media.medium, take: media.take)
      else { return nil }
      return StorageAnswers(source, hostKnowsMore: { source.liesOnRaid }) {
        try source.follow()
      }
    }
  ]
}
