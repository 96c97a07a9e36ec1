/// A run of a file's bytes and where they come from. What no extent covers is a
/// hole and reads as zeros.
public struct FileExtent: Hashable, Sendable {
  /// Where the bytes of an extent come from.
  public enum Source: Hashable, Sendable {
    /// The bytes lie in a store, one to one.
    case stored(StoreAddress)
    /// Space that is allocated but was never written: reads as zeros.
    case unwritten
    /// The bytes travel inside the representation, at this offset of its heap.
    case inline(heapOffset: UInt64)
    /// The bytes are what a compressed run of a store decodes to, from its `offset`
    /// on. The run decodes to all of them (`CompressedRun.holds`).
    case compressed(CompressedRun)
    /// The bytes lie in a store in an encoding that only the production host can
    /// read (one that is not known, or encrypted).
    case encoded
    /// The bytes could not be read when the image was frozen: reading them fails.
    case unreadable
  }

  /// Bytes from the start of the file.
  public let offset: UInt64
  /// Bytes, more than 0.
  public let length: UInt64
  /// Where the bytes come from, the first of them at its beginning.
  public let source: Source

  public init(offset: UInt64, length: UInt64, source: Source) {
    self.offset = offset
    self.length = length
    self.source = source
  }

  /// One past the last byte of the run. What comes from outside is refused where
  /// it arrives if this exceeds 64 bits; here it only must not trap.
  public var end: UInt64 {
    let (end, overflow) = offset.addingReportingOverflow(length)
    return overflow ? .max : end
  }

  /// The part of the extent inside a range of the file; `nil` when there is none.
  public func clipped(to range: Range<UInt64>) -> FileExtent? {
    let start = max(offset, range.lowerBound)
    let end = min(end, range.upperBound)
    guard start < end else { return nil }
    let moved = start - offset
    let source: Source =
      switch source {
      case .stored(let address):
        .stored(StoreAddress(store: address.store, offset: address.offset &+ moved))
      case .inline(let heapOffset): .inline(heapOffset: heapOffset &+ moved)
      case .compressed(let run): .compressed(run.moved(by: moved))
      case .unwritten, .encoded, .unreadable: source
      }
    return FileExtent(offset: start, length: end - start, source: source)
  }
}

/// A byte of a file of the image, in the order in which a volume keeps its files:
/// by inode number, then by offset. Ranges of keys say what may have changed and
/// what an answer covers.
public struct FileKey: Hashable, Comparable, Sendable {
  /// The source's inode number.
  public let inode: UInt64
  /// Bytes from the start of the file.
  public let offset: UInt64

  public init(inode: UInt64, offset: UInt64) {
    self.inode = inode
    self.offset = offset
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.inode, left.offset) < (right.inode, right.offset)
  }

  /// Below every key.
  public static let first = FileKey(inode: 0, offset: 0)
  /// Above every byte of every file.
  public static let last = FileKey(inode: .max, offset: .max)
}

/// A byte range of one file of the image.
public struct Portion: Hashable, Sendable {
  /// The source's inode number.
  public let inode: UInt64
  /// Bytes from the start of the file.
  public let range: Range<UInt64>

  public init(inode: UInt64, range: Range<UInt64>) {
    self.inode = inode
    self.range = range
  }

  /// The portion's bytes in the order of all files' bytes.
  public var keys: Range<FileKey> {
    FileKey(
      inode: inode, offset: range.lowerBound)..<FileKey(
        inode: inode, offset: range.upperBound)
  }
}
