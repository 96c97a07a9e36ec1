import DataSets
import VolumeLayers

/// Reads a layer for libext2fs, and keeps what was read for a while: inode tables and
/// directories are read block by block.
///
/// Not for several threads at once.
final class ExtChannel {
  private static let windowLength: UInt64 = 64 << 10
  private static let windowCount = 64

  let layer: Layer
  /// By the number of the window, modulo their count.
  private var windows: [(number: UInt64, bytes: [UInt8])?]
  /// Why the last read failed; libext2fs knows only that it did.
  private var failure: StackError?

  init(_ layer: Layer) {
    self.layer = layer
    windows = Array(repeating: nil, count: Self.windowCount)
  }

  /// The failure since it was asked for last.
  func takeFailure() -> StackError? {
    defer { failure = nil }
    return failure
  }

  /// Fills the buffer with bytes of the layer.
  ///
  /// - Returns: whether all could be read; if not, `takeFailure` knows why.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool {
    do throws(StackError) {
      let number = offset / Self.windowLength
      let (end, overflow) = offset.addingReportingOverflow(UInt64(buffer.count))
      guard !buffer.isEmpty, !overflow, end <= layer.size,
        (end - 1) / Self.windowLength == number
      else {
        // Too large to be kept, or beyond the end, which is refused there.
        try layer.read(into: buffer, at: offset)
        return true
      }
      let slot = Int(number % UInt64(Self.windowCount))
      if windows[slot]?.number != number, !load(number, into: slot) {
        // Something near could not be read; perhaps this can.
        try layer.read(into: buffer, at: offset)
        return true
      }
      guard let window = windows[slot] else { return false }
      let start = Int(offset - number * Self.windowLength)
      buffer.copyBytes(from: window.bytes[start..<start + buffer.count])
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func load(_ number: UInt64, into slot: Int) -> Bool {
    let start = number * Self.windowLength
    var bytes = windows[slot]?.bytes ?? []
    windows[slot] = nil
    let count = Int(min(Self.windowLength, layer.size - start))
    if bytes.count != count { bytes = [UInt8](repeating: 0, count: count) }
    let isRead = bytes.withUnsafeMutableBytes { buffer in
      do throws(StackError) {
        try layer.read(into: buffer, at: start)
        return true
      } catch {
        return false
      }
    }
    if isRead { windows[slot] = (number, bytes) }
    return isRead
  }
}
