import DataSets
import Synchronization

/// The metadata texts that were taken apart lately. All areas of a group hold the same
/// one, and it is looked at again and again until the next commit.
enum ParsedTexts {
  private static let maximumCount = 16
  private static let known = Mutex<[(text: [UInt8], group: VolumeGroup)]>([])

  /// - Parameter bytes: a text, up to its first zero byte, if there is one.
  /// - Throws: as `MetadataParser.parse(_:)` and `VolumeGroup.init(text:)`.
  static func group(_ bytes: [UInt8]) throws(StackError) -> VolumeGroup {
    let text = Array(bytes.prefix { $0 != 0 })
    if let same = known.withLock({ $0.first { $0.text == text }?.group }) { return same }
    let group = try VolumeGroup(text: MetadataParser.parse(text))
    known.withLock { known in
      if known.count >= maximumCount { known.removeFirst() }
      known.append((text, group))
    }
    return group
  }
}
