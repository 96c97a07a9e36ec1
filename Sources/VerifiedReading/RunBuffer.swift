import Decoding
import FrozenImage

/// Room for a compressed run: its stored bytes, and what they decode to. What it holds
/// is kept until another run comes, so that extents of one portion that share a run
/// read and decode it once.
///
/// Used by one thread at a time; memory: what the longest run so far needed, at most
/// twice `CompressedRun.maximumLength`.
final class RunBuffer {
  private var decoder = RunDecoder()
  private var stored = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var decoded = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var held: CompressedRun?
  /// Bytes that were decoded of the run that is held.
  private var decodedCount = 0

  deinit {
    stored.deallocate()
    decoded.deallocate()
  }

  /// Forgets what it holds: the run's place may have been written anew.
  func forget() {
    held = nil
  }

  /// Whether the run's stored bytes are here.
  func holds(_ run: CompressedRun) -> Bool {
    held.map { $0.isSameRun(as: run) } ?? false
  }

  /// Room for the stored bytes of a run that is not held, to be filled before
  /// `isFilled(with:)`.
  func room(for run: CompressedRun) -> UnsafeMutableRawBufferPointer {
    held = nil
    Self.grow(&stored, to: Int(run.storedLength))
    return UnsafeMutableRawBufferPointer(rebasing: stored[..<Int(run.storedLength)])
  }

  /// The room that was given last holds the run's stored bytes.
  func isFilled(with run: CompressedRun) {
    held = run
    decodedCount = 0
  }

  /// Takes bytes of the run that is held, from its offset on.
  ///
  /// - Parameter end: how far, from the start of what the run decodes to, bytes will be
  ///   taken from it before another run comes.
  func take(
    _ target: UnsafeMutableRawBufferPointer, of run: CompressedRun, decodingTo end: Int
  ) throws(DecodingError) {
    let source = UnsafeRawBufferPointer(
      rebasing: UnsafeRawBufferPointer(stored)[..<Int(run.storedLength)])
    // All of it is wanted: no copy is needed.
    if decodedCount == 0, target.count == Int(run.decodedLength), end <= target.count {
      let count = try decoder.decode(source, as: run.algorithm, into: target)
      return Self.fillUp(target, from: count)
    }
    let start = Int(run.offset)
    let end = max(end, start + target.count)
    if decodedCount < end {
      Self.grow(&decoded, to: Int(run.decodedLength))
      let room = UnsafeMutableRawBufferPointer(rebasing: decoded[..<end])
      Self.fillUp(room, from: try decoder.decode(source, as: run.algorithm, into: room))
      decodedCount = end
    }
    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: decoded[start..<start + target.count]))
  }

  /// What a run that ends early stands for are zeros.
  private static func fillUp(_ bytes: UnsafeMutableRawBufferPointer, from count: Int) {
    UnsafeMutableRawBufferPointer(rebasing: bytes[count...])
      .initializeMemory(as: UInt8.self, repeating: 0)
  }

  private static func grow(_ buffer: inout UnsafeMutableRawBufferPointer, to count: Int) {
    guard buffer.count < count else { return }
    buffer.deallocate()
    buffer = .allocate(byteCount: count, alignment: 4096)
  }
}

extension CompressedRun {
  /// Whether the other run is the same but for the offset.
  func isSameRun(as other: CompressedRun) -> Bool {
    address == other.address && algorithm == other.algorithm
      && storedLength == other.storedLength && decodedLength == other.decodedLength
  }
}
