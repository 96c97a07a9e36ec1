import FrozenImage
import LogicalRepresentation

/// Scratch space in which a representation can be begun anew: what was appended before is
/// left where it is and not seen any more.
final class RestartableScratch: RepresentationScratch {
  private let scratch: any RepresentationScratch
  /// Bytes of each section, and where its present part begins.
  private var ends = [UInt64](repeating: 0, count: ScratchSection.allCases.count)
  private var starts = [UInt64](repeating: 0, count: ScratchSection.allCases.count)

  init(_ scratch: any RepresentationScratch) {
    self.scratch = scratch
  }

  /// Only before the representation itself was written to.
  func restart() { starts = ends }

  func append(_ bytes: UnsafeRawBufferPointer, to section: ScratchSection) throws(ScratchError) {
    try scratch.append(bytes, to: section)
    ends[section.rawValue] += UInt64(bytes.count)
  }

  func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    try scratch.read(section, at: starts[section.rawValue] + offset, into: buffer)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError) {
    try scratch.write(bytes, at: offset)
  }

  func commit() throws(ScratchError) { try scratch.commit() }
}
