import FrozenImage
import ImageReader

@testable import DataSets
@testable import VolumeLayers

/// A medium whose bytes lie in memory.
struct MemoryMedium: Medium {
  let path: String
  let bytes: [UInt8]

  var size: UInt64 { UInt64(bytes.count) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(MediumError) {
    guard offset <= size, UInt64(buffer.count) <= size - offset else {
      throw MediumError(path: path, offset: offset, reason: "it ends there")
    }
    buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
  }
}

/// Gives the bytes of a layer's encoded runs from a plain copy of it.
struct CopyDecoder: RunDecoder {
  let bytes: [UInt8]

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StackError) {
    buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
  }

  func stored(_ range: Range<UInt64>) -> [ProbeWindow] { [] }
}
