import ImageReader
import Synchronization

@testable import BlockMappers

/// A medium in memory.
final class ArrayMedium: Medium {
  let path = "memory"
  let size: UInt64
  private let bytes: Mutex<[UInt8]>

  init(_ bytes: [UInt8]) {
    size = UInt64(bytes.count)
    self.bytes = Mutex(bytes)
  }

  /// A disk of 8 MiB with a label and one metadata area that holds a text.
  convenience init(physicalVolume id: String, text: [UInt8]) {
    let area: UInt64 = 120 << 10
    self.init([UInt8](repeating: 0, count: 8 << 20))
    var label = [UInt8](repeating: 0, count: 512)
    label.replaceSubrange(0..<8, with: Array("LABELONE".utf8))
    label.set(UInt64(1), at: 8)
    label.set(UInt32(32), at: 20)
    label.replaceSubrange(24..<32, with: Array("LVM2 001".utf8))
    label.replaceSubrange(32..<64, with: id.utf8.filter { $0 != UInt8(ascii: "-") })
    // No data area, one metadata area.
    label.set(UInt64(4096), at: 88)
    label.set(area, at: 96)
    write(label, at: 512, checksumAt: 16, from: 20)
    var header = [UInt8](repeating: 0, count: 512)
    header.replaceSubrange(4..<20, with: Array(" LVM2 x[5A%r0N*>".utf8))
    header.set(UInt32(1), at: 20)
    header.set(UInt64(4096), at: 24)
    header.set(area, at: 32)
    header.set(UInt64(512), at: 40)
    header.set(UInt64(text.count), at: 48)
    header.set(MetadataChecksum.checksum(text), at: 56)
    write(header, at: 4096, checksumAt: 0, from: 4)
    bytes.withLock { $0.replaceSubrange(4608..<4608 + text.count, with: text) }
  }

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(MediumError) {
    bytes.withLock { bytes in
      buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
    }
  }

  func flip(_ mask: UInt8, at place: Int) {
    bytes.withLock { $0[place] ^= mask }
  }

  func replace(at place: Int, with new: [UInt8]) {
    bytes.withLock { $0.replaceSubrange(place..<place + new.count, with: new) }
  }

  /// Writes a sector with its checksum made right.
  func write(_ sector: [UInt8], at place: Int, checksumAt offset: Int, from start: Int) {
    var sector = sector
    sector.set(MetadataChecksum.checksum(sector[start...]), at: offset)
    bytes.withLock { $0.replaceSubrange(place..<place + sector.count, with: sector) }
  }
}

extension [UInt8] {
  mutating func set(_ number: some FixedWidthInteger, at offset: Int) {
    withUnsafeMutableBytes {
      $0.storeBytes(of: number.littleEndian, toByteOffset: offset, as: type(of: number))
    }
  }
}
