import FrozenImage
import SystemPackage

/// "What may have changed": the file ranges whose extents lie in leaves that were
/// written, or swapped in, since a state.
enum Changes {
  /// Most ranges that are told apart; past that, everything may have changed.
  static let maximumRanges = 65_536
  /// Inode numbers between two ranges that are still joined. A run of newer leaves
  /// shows every inode in it, also those without extents, so a small gap is most
  /// likely a number that is not in use; naming too much costs one more question.
  private static let maximumInodeGap: UInt64 = 16

  static func since(
    floor: UInt64, inSubvolume subvolume: UInt64, _ descriptor: FileDescriptor
  ) throws(BtrfsError) -> MappingAnswer.Changes {
    guard floor < .max else { return .everything }
    var search = TreeSearch(of: descriptor, capacity: 1 << 20)
    var ranges: [Range<FileKey>] = []
    var isTooMuch = false
    try search.scan(subvolume, InodeNumbers.allKeys, since: floor + 1) {
      item throws(BtrfsError) in
      // What is neither stored nor compressed is never read from the media by an
      // extent of the representation, and content does not change: only what lies on
      // the media can be news. (Dedupe, which may turn one kind into another, is
      // reported as "everything".)
      guard item.key.type == ItemType.fileExtent else { return true }
      guard let extent = FileExtentItem(item.payload) else {
        isTooMuch = true
        return false
      }
      let length: UInt64
      switch extent {
      case .regular(_, let stored): length = stored
      case .compressed(let stored, _): length = stored
      case .inline, .hole, .preallocated, .encoded: return true
      }
      let start = FileKey(inode: item.key.object, offset: item.key.offset)
      let (end, overflow) = item.key.offset.addingReportingOverflow(length)
      guard !overflow else { return true }
      append(start..<FileKey(inode: item.key.object, offset: end), to: &ranges)
      isTooMuch = ranges.count > maximumRanges
      return !isTooMuch
    }
    return isTooMuch ? .everything : .ranges(ranges)
  }

  private static func append(_ range: Range<FileKey>, to ranges: inout [Range<FileKey>]) {
    if let last = ranges.last,
      last.upperBound >= range.lowerBound
        || range.lowerBound.inode - last.upperBound.inode <= maximumInodeGap
    {
      ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
    } else {
      ranges.append(range)
    }
  }
}
