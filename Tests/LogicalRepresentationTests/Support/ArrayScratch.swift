import FrozenImage
import LogicalRepresentation

/// A representation's scratch space in memory.
final class ArrayScratch: RepresentationScratch {
  private var sections = [[UInt8]](repeating: [], count: ScratchSection.allCases.count)
  private(set) var result: [UInt8] = []
  private(set) var isCommitted = false

  func append(_ bytes: UnsafeRawBufferPointer, to section: ScratchSection) {
    sections[section.rawValue].append(contentsOf: bytes)
  }

  func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    let bytes = sections[section.rawValue]
    guard let start = Int(exactly: offset), start <= bytes.count,
      buffer.count <= bytes.count - start
    else {
      throw ScratchError(
        .failed, "\(buffer.count) bytes at \(offset) of \(section) were not appended")
    }
    buffer.copyBytes(from: bytes[start..<start + buffer.count])
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    let end = Int(offset) + bytes.count
    if end > result.count { result += Array(repeating: 0, count: end - result.count) }
    result.replaceSubrange(Int(offset)..<end, with: bytes)
  }

  func commit() { isCommitted = true }
}

/// Bytes in memory as a region.
final class ArrayRegion: ByteRegion {
  nonisolated(unsafe) private let buffer: UnsafeMutableRawBufferPointer

  init(_ bytes: [UInt8]) {
    buffer = .allocate(byteCount: bytes.count, alignment: 16)
    buffer.copyBytes(from: bytes)
  }

  deinit { buffer.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffer) }
}

extension [UInt8] {
  /// Lends the bytes in the form that writer and reader take.
  func lend<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withUnsafeBytes { try body($0) }
  }
}
