/// What dm-log-writes recorded below a device: its writes and discards, in an order in which
/// a loss of power may keep a prefix of them. It writes down what a flush made durable when
/// that ended, and what was written through (FUA) at once.
///
/// The format is that of drivers/md/dm-log-writes.c in the kernel's sources: a superblock of
/// one sector, then for each entry one sector of description and its data.
struct WriteLog {
  enum Entry {
    case write(offset: Int, bytes: ArraySlice<UInt8>)
    /// What lies there afterwards is anything.
    case discard(offset: Int, length: Int)
    case mark(String)
  }

  let entries: [Entry]

  private static let magic: UInt64 = 0x6A_7366_7773_6872
  private static let discard: UInt64 = 1 << 2
  private static let mark: UInt64 = 1 << 3

  /// - Parameter bytes: what the log's device holds.
  /// - Throws: `HarnessError` when that is no log, or a part of it is missing.
  init(_ bytes: [UInt8]) throws {
    func number(_ offset: Int) throws -> UInt64 {
      guard offset + 8 <= bytes.count else { throw HarnessError("the log of writes is cut short") }
      return bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard try number(0) == Self.magic, try number(8) == 1 else {
      throw HarnessError("this is no log of dm-log-writes")
    }
    let count = try Int(number(16))
    let sector = try Int(number(24) & 0xFFFF_FFFF)
    var entries: [Entry] = []
    var position = sector
    for _ in 0..<count {
      let (offset, length) = (
        try Int(number(position)) * sector, try Int(number(position + 8)) * sector
      )
      let flags = try number(position + 16)
      let data = try Int(number(position + 24))
      let description = position
      position += sector
      if flags & Self.mark != 0 {
        let name = bytes[description + 32..<description + 32 + data]
        entries.append(.mark(String(decoding: name, as: UTF8.self)))
      } else if flags & Self.discard != 0 {
        entries.append(.discard(offset: offset, length: length))
      } else if length > 0 {
        guard position + length <= bytes.count else {
          throw HarnessError("the log of writes is cut short")
        }
        entries.append(.write(offset: offset, bytes: bytes[position..<position + length]))
        position += length
      }
    }
    self.entries = entries
  }
}
