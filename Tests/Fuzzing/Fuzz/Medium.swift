import FrozenImage
import ImageReader
import VolumeLayers

/// A medium that begins with an input's bytes and goes on with zeros, so that a small
/// input makes a large disk.
struct InputMedium: Medium {
  /// No such directory, so that no file which an input names beside itself is found.
  let path = "/nonexistent/input"
  let bytes: [UInt8]
  let size: UInt64

  init(_ bytes: [UInt8], size: UInt64 = 0) {
    self.bytes = bytes
    self.size = max(size, UInt64(bytes.count))
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(MediumError) {
    guard offset <= size, UInt64(buffer.count) <= size - offset else {
      throw MediumError(path: path, offset: offset, reason: "it ends there")
    }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    let start = Int(clamping: min(offset, UInt64(bytes.count)))
    buffer.copyBytes(from: bytes[start..<min(bytes.count, start + buffer.count)])
  }
}

/// Uses a layer that a mapper made as a freeze and a read would.
func use(_ map: LayerMap) {
  let layer = Layer(map)
  for offset in Set([0, map.size / 2, map.size - min(map.size, 4096)]) {
    let count = Int(min(4096, map.size - offset))
    _ = try? layer.bytes(at: offset, count: count)
    guard count > 0 else { continue }
    let extents = layer.fileExtents(
      at: 0, of: offset..<offset + UInt64(count), store: Stack.topStore)
    require(extents.last?.end == UInt64(count), "a layer's extents cover it")
  }
  guard let stack = try? Stack(top: layer), let stores = try? stack.storeMap() else { return }
  let top = StoreAddress(store: Stack.topStore, offset: 0)
  _ = try? stores.resolve(top, length: min(map.size, 65536))
}
