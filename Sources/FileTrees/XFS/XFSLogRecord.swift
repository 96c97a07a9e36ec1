import FrozenImage

/// A record of an XFS's log, with what it says of changes (fs/xfs/libxfs/xfs_log_format.h).
struct XFSLogRecord {
  /// `XLOG_HEADER_MAGIC_NUM`.
  static let magic: UInt32 = 0xFEED_BABE

  /// What its first block says (`struct xlog_rec_header`).
  struct Header: Hashable {
    /// Its block of the ring.
    let place: UInt64
    /// Bytes of data.
    let length: UInt64
    /// Blocks of headers, and behind them of data.
    let headers, blocks: UInt64
    /// Of the headers and the data; 0 where mkfs wrote the record.
    let checksum: UInt32
    /// Whether there are more headers for more data.
    fileprivate let isSecond: Bool
    /// The block at which a replay would begin.
    let tail: UInt64
    let operations: UInt32
    /// Of the machine that wrote it: 1 is Linux with little-endian numbers (`XLOG_FMT`).
    let format: UInt32

    /// - Returns: `nil` when the block is no header that belongs to this place.
    init?(_ block: ArraySlice<UInt8>, at place: UInt64) {
      let bytes = Array(block)
      guard bytes.count == XFSLog.block, bytes.bigEndian(at: 0) == XFSLogRecord.magic,
        bytes.bigEndian(at: 20) == UInt32(truncatingIfNeeded: place)
      else { return nil }
      self.place = place
      length = UInt64(bytes.bigEndian(at: 12))
      blocks = (length + UInt64(XFSLog.block) - 1) / UInt64(XFSLog.block)
      // Of the second version, one for each 32 KiB that the record might have.
      isSecond = bytes.bigEndian(at: 8) & 2 != 0
      let size = UInt64(bytes.bigEndian(at: 320))
      headers = isSecond ? max(1, (size + 32767) / 32768) : 1
      tail = UInt64(bytes.bigEndian(at: 28))
      checksum = UInt32(bytes.littleEndian(at: Self.checksumPlace, 4))
      operations = bytes.bigEndian(at: 40)
      format = bytes.bigEndian(at: 300)
    }

    fileprivate static let checksumPlace = 32
  }

  private let header: Header
  /// The data, with the bytes that the turn's numbers stand in place of put back.
  private let data: [UInt8]
  /// Whether its bytes are those that the kernel wrote.
  private let isWhole: Bool

  /// - Parameter bytes: of the whole record, headers included; fewer of one that is no record.
  init(_ header: Header, bytes: [UInt8]) {
    self.header = header
    let begin = Int(min(header.headers, 1024)) * XFSLog.block
    guard bytes.count >= begin else {
      data = []
      isWhole = false
      return
    }
    isWhole = Self.hasChecksum(header, bytes)
    var data = Array(bytes[begin...])
    for index in 0..<data.count / XFSLog.block {
      // 64 words in each header, in the first one behind its other fields.
      let words = index < 64 ? 44 : index / 64 * XFSLog.block + 4
      let place = words + index % 64 * 4
      guard place + 4 <= begin else { break }
      data.replaceSubrange(
        index * XFSLog.block..<index * XFSLog.block + 4, with: bytes[place..<place + 4])
    }
    self.data = data
  }

  /// Bytes of the first header that count for the checksum: `struct xlog_rec_header`, which was
  /// shorter on a kernel of 32 bits on x86.
  private static let headerSizes = [328, 324]
  /// Bytes that count of each other header (`struct xlog_rec_ext_header`).
  private static let otherHeaderSize = 260
  /// Bytes of data for which a header has room.
  private static let dataOfHeader: UInt64 = 32768

  /// Whether the CRC-32C of the record is that in its header (`xlog_cksum`, fs/xfs/xfs_log.c):
  /// of the headers, with zeros in its own place, and of the data as they lie on the disk.
  ///
  /// - Parameter bytes: of the whole record, at least the headers.
  private static func hasChecksum(_ header: Header, _ bytes: [UInt8]) -> Bool {
    let begin = Int(min(header.headers, 1024)) * XFSLog.block
    guard header.length <= UInt64(bytes.count - begin) else { return false }
    let used =
      header.isSecond ? max(1, (header.length + dataOfHeader - 1) / dataOfHeader) : 1
    guard used <= header.headers else { return false }
    return headerSizes.contains { size in
      var first = Array(bytes[..<size])
      first.replaceSubrange(
        Header.checksumPlace..<Header.checksumPlace + 4, with: [0, 0, 0, 0])
      var checksum = CRC32C.checksum(first)
      func go(on range: Range<Int>) {
        bytes[range].withUnsafeBytes { checksum = CRC32C.checksum($0, continuing: checksum) }
      }
      for index in 1..<max(1, Int(used)) {
        go(on: index * XFSLog.block..<index * XFSLog.block + otherHeaderSize)
      }
      go(on: begin..<begin + Int(header.length))
      return checksum == header.checksum
    }
  }

  /// Flags of an operation (`XLOG_START_TRANS` and others).
  private enum Flag {
    static let start: UInt8 = 1
    static let commit: UInt8 = 2
    static let unmount: UInt8 = 32
  }

  private static let headerLength = 12
  /// "TRAN", as the machine writes numbers (`XFS_TRANS_HEADER_MAGIC`).
  private static let transaction: UInt64 = 0x5452_414E
  /// `XFS_LI_BUF`.
  private static let buffer: UInt64 = 0x123C

  /// Whether it holds nothing but the word that the file system was unmounted.
  ///
  /// The one that mkfs writes has no checksum.
  var saysUnmounted: Bool {
    (isWhole || header.checksum == 0) && header.operations == 1 && data.count >= Self.headerLength
      && data[9] & Flag.unmount != 0
  }

  /// Whether all that it holds are changes of the first block of the file system, or the word
  /// that it was unmounted.
  var changesSuperblockAlone: Bool {
    guard isWhole, header.format == 1, header.operations > 0 else { return false }
    var place = 0
    // Regions of the present item that are to come.
    var regions: UInt64 = 0
    for _ in 0..<header.operations {
      guard data.count - place >= Self.headerLength else { return false }
      let length = Int(data.bigEndian(at: place + 4))
      let flags = data[place + 9]
      place += Self.headerLength
      guard length <= data.count - place else { return false }
      let begin = place
      place += length
      switch flags {
      case Flag.start, Flag.commit:
        guard regions == 0, length == 0 else { return false }
      case Flag.unmount: continue
      case 0 where regions > 0: regions -= 1
      case 0 where length >= 16 && data.littleEndian(at: begin, 4) == Self.transaction: continue
      case 0:
        // `struct xfs_buf_log_format`: type, regions, flags, length, then the place on the disk.
        guard length >= 16, data.littleEndian(at: begin, 2) == Self.buffer,
          data.littleEndian(at: begin + 8, 8) == 0
        else { return false }
        regions = max(1, data.littleEndian(at: begin + 2, 2)) - 1
      // What goes on in another record is more than a superblock.
      default: return false
      }
    }
    return regions == 0
  }
}

extension [UInt8] {
  /// A number of four bytes at a place that is inside.
  func bigEndian(at place: Int) -> UInt32 {
    self[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A number of `count` bytes, at the most eight, at a place that is inside.
  fileprivate func littleEndian(at place: Int, _ count: Int) -> UInt64 {
    self[place..<place + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
