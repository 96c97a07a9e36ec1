import Glibc
import ImageReader
import Synchronization

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// What a device holds after a prefix of its log.
final class ReplayedMedium: Medium {
  let path = "replay"
  let size: UInt64
  private let bytes: Mutex<[UInt8]>

  /// - Parameter size: bytes, all of them zero.
  init(size: Int) {
    self.size = UInt64(size)
    bytes = Mutex([UInt8](repeating: 0, count: size))
  }

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(MediumError) {
    bytes.withLock { buffer.copyBytes(from: $0[Int(offset)..<Int(offset) + buffer.count]) }
  }

  func bytes(in range: Range<Int>) -> [UInt8] { bytes.withLock { Array($0[range]) } }

  /// Whether a range holds these bytes.
  func holds(_ expected: ArraySlice<UInt8>, at offset: Int) -> Bool {
    bytes.withLock { bytes in
      bytes.withUnsafeBytes { own in
        expected.withUnsafeBytes { expected in
          guard let own = own.baseAddress, let other = expected.baseAddress else { return false }
          return memcmp(own + offset, other, expected.count) == 0
        }
      }
    }
  }

  /// Applies a write, or a discard, of the log; returns the range, `nil` of a mark.
  ///
  /// What is discarded may hold anything afterwards, and does.
  func apply(_ entry: WriteLog.Entry) -> Range<Int>? {
    switch entry {
    case .mark: return nil
    case .write(let offset, let new):
      guard offset + new.count <= size else { return nil }
      bytes.withLock { bytes in
        bytes.withUnsafeMutableBytes { bytes in
          new.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: $0)
          }
        }
      }
      return offset..<offset + new.count
    case .discard(let offset, let length):
      guard offset + length <= size else { return nil }
      bytes.withLock { bytes in
        for index in offset..<offset + length { bytes[index] = 0xDD }
      }
      return offset..<offset + length
    }
  }

  /// A part of it, as a logical volume is one.
  func part(_ title: String, _ range: Range<Int>) throws -> Layer {
    let start = LayerAddress(layer: 0, offset: UInt64(range.lowerBound))
    return Layer(
      try LayerMap(
        title: title, size: UInt64(range.count), lower: [Layer(self)],
        runs: [.linear(0..<UInt64(range.count), at: start)]))
  }
}
