import FloeWire
import FoundationEssentials

/// Puts the chunks of a portion together that was asked for.
struct PortionAssembly {
  private let inode: UInt64
  private let offset: UInt64
  private let count: Int
  /// What came so far.
  private(set) var bytes: [UInt8] = []

  /// - Parameter count: bytes that were asked for, which are set aside.
  init(inode: UInt64, offset: UInt64, count: Int) {
    self.inode = inode
    self.offset = offset
    self.count = count
    bytes.reserveCapacity(count)
  }

  /// Takes the next chunk.
  mutating func add(_ chunk: Floe_V1_PortionChunk) throws(WireError) {
    guard chunk.offset == offset &+ UInt64(bytes.count), chunk.data.count <= count - bytes.count
    else { throw WireError("inode \(inode): a chunk at \(chunk.offset) was not asked for") }
    bytes += chunk.data
  }
}
