import DataSets
import FrozenImage
import VolumeLayers

/// The log of an XFS, as far as is needed to tell whether all that it holds is in its place
/// (fs/xfs/libxfs/xfs_log_format.h, fs/xfs/xfs_log_recover.c).
///
/// It is a ring of blocks of 512 bytes. Each begins with the number of the turn in which it was
/// written, or is the header of a record. What a mount would replay lies from the tail, which
/// the last record names, to the head, behind that record. A file system that was unmounted
/// leaves nothing there. One that was frozen leaves changes of the superblock alone, which the
/// kernel writes so that older records are never replayed (`xfs_log_quiesce`, `xfs_log_cover`,
/// fs/xfs/xfs_log.c).
struct XFSLog {
  static let block = 512

  private let layer: Layer
  private let title: String
  /// Bytes from the start of the file system.
  private let start: UInt64
  /// Blocks of 512 bytes.
  private let count: UInt64

  /// Blocks of the largest record with its headers, and a few more.
  private static let largestRecord: UInt64 = 4096

  init(on layer: Layer, at start: UInt64, blocks count: UInt64) throws(StackError) {
    let (size, isTooLong) = count.multipliedReportingOverflow(by: UInt64(Self.block))
    guard !isTooLong, count >= 64, start <= layer.size, size <= layer.size - start else {
      throw StackError(.malformed, "the log of the XFS of \(layer.title) is not inside of it")
    }
    self.layer = layer
    title = layer.title
    self.start = start
    self.count = count
  }

  /// Whether everything is in its place but for changes of the superblock.
  ///
  /// - Returns: `false` also of a log that is not understood.
  /// - Throws: `StackError` when it cannot be read.
  func holdsNothing() throws(StackError) -> Bool {
    // mkfs writes a record: one that holds none is no log that a kernel left so.
    guard let head = try head() else { return false }
    guard let last = try lastRecord(before: head), position(behind: last) == head else {
      return false
    }
    if XFSLogRecord(last, bytes: try data(of: last)).saysUnmounted { return true }
    var place = last.tail
    // Records do not overlap, so together they are no longer than the ring.
    var looked: UInt64 = 0
    while looked <= count {
      guard place < count, let record = try record(at: place),
        try XFSLogRecord(record, bytes: data(of: record)).changesSuperblockAlone
      else { return false }
      place = position(behind: record)
      looked += record.headers + record.blocks
      // The last one may begin at the head, where it is the only one.
      if record.place == last.place { return true }
      if place == head { return false }
    }
    return false
  }

  // MARK: - Where it ends

  /// The block behind the last record; `nil` of a log that was never written.
  private func head() throws(StackError) -> UInt64? {
    let first = try turn(of: 0)
    let last = try turn(of: count - 1)
    guard first != 0 else { return nil }
    // The whole ring is of one turn.
    guard first != last else { return 0 }
    // Blocks of the present turn come first, then those of the one before, or unwritten ones.
    var (low, high) = (UInt64(0), count - 1)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if try turn(of: middle) == first { low = middle } else { high = middle }
    }
    return high
  }

  /// The turn in which a block was written.
  private func turn(of block: UInt64) throws(StackError) -> UInt32 {
    let bytes = try blocks(at: block, count: 1)
    let word = bytes.bigEndian(at: 0)
    return word == XFSLogRecord.magic ? bytes.bigEndian(at: 4) : word
  }

  /// The last record that begins before a block.
  private func lastRecord(before head: UInt64) throws(StackError) -> XFSLogRecord.Header? {
    let step: UInt64 = 64
    var end = head == 0 ? count : head
    var looked: UInt64 = 0
    while looked < min(Self.largestRecord, count) {
      let length = min(step, end)
      let bytes = try blocks(at: end - length, count: length)
      for index in (0..<length).reversed() {
        let block = bytes[Int(index) * Self.block..<Int(index + 1) * Self.block]
        if let header = XFSLogRecord.Header(block, at: end - length + index) { return header }
      }
      looked += length
      end = end == length ? count : end - length
    }
    return nil
  }

  // MARK: - Records

  private func record(at place: UInt64) throws(StackError) -> XFSLogRecord.Header? {
    XFSLogRecord.Header(try blocks(at: place, count: 1)[...], at: place)
  }

  private func position(behind record: XFSLogRecord.Header) -> UInt64 {
    (record.place + record.headers + record.blocks) % count
  }

  /// A record with its headers.
  private func data(of record: XFSLogRecord.Header) throws(StackError) -> [UInt8] {
    let length = record.headers + record.blocks
    guard length <= min(Self.largestRecord, count) else { return [] }
    let first = min(length, count - record.place)
    let bytes = try blocks(at: record.place, count: first)
    return first == length ? bytes : bytes + (try blocks(at: 0, count: length - first))
  }

  private func blocks(at block: UInt64, count: UInt64) throws(StackError) -> [UInt8] {
    try layer.bytes(at: start + block * UInt64(Self.block), count: Int(count) * Self.block)
  }
}
