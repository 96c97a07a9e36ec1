import HostSystem

/// Page-aligned buffers for replies, used again and again: a fresh megabyte for
/// each read would be mapped, zeroed page by page and unmapped each time.
///
/// The buffer that was used last is taken first, since its pages are the ones that
/// the processor's caches hold.
final class ReplyBuffers: Sendable {
  /// Bytes of a buffer: the largest read that libfuse's requests carry (256 pages).
  static let size = 1 << 20
  /// Most buffers that are kept while nobody uses them.
  private static let kept = 16
  /// O_DIRECT reads straight into a buffer that is aligned to the medium's sectors.
  private static let alignment = 4096

  /// Safe to hand from thread to thread: it belongs to the thread that took it.
  private struct Buffer: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
  }

  private let free = Monitor<[Buffer]>([])

  /// Calls `body` with a buffer of `count` bytes whose content is undefined.
  func withBuffer(of count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    let buffer = take(atLeast: count)
    body(UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count]))
    giveBack(buffer)
  }

  private func take(atLeast count: Int) -> Buffer {
    if count <= Self.size, let buffer = free.withLock({ $0.popLast() }) { return buffer }
    return Buffer(
      bytes: .allocate(byteCount: max(count, Self.size), alignment: Self.alignment))
  }

  private func giveBack(_ buffer: Buffer) {
    let isKept = free.withLock { free in
      guard buffer.bytes.count == Self.size, free.count < Self.kept else { return false }
      free.append(buffer)
      return true
    }
    if !isKept { buffer.bytes.deallocate() }
  }

  deinit {
    free.withLock { $0.forEach { $0.bytes.deallocate() } }
  }
}
