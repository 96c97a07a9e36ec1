import FloeWire
import FrozenImage

/// A portion that is to be read through the production host.
struct PortionRequest {
  let image: UniqueIdentifier
  let inode: UInt64
  /// Bytes from the file's start; the sum with `count` fits into 64 bits.
  let offset: UInt64
  /// Bytes, from 1 to `WireLimit.portionLength`.
  let count: Int

  init(wire: Floe_V1_ReadPortionRequest) throws(WireError) {
    guard (1...WireLimit.portionLength).contains(Int(wire.length)),
      !wire.offset.addingReportingOverflow(UInt64(wire.length)).overflow
    else {
      throw WireError("a portion of \(wire.length) bytes at \(wire.offset) cannot be read")
    }
    image = try UniqueIdentifier(wire: wire.image, "the image")
    inode = wire.inode
    offset = wire.offset
    count = Int(wire.length)
  }
}
