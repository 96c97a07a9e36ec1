import FrozenImage
import HostSystem
import LogicalRepresentation

/// Scratch space that fails once a signal asked for the end, so that a description ends there
/// whatever its provider is busy with.
final class InterruptibleScratch: RepresentationScratch {
  private let scratch: any RepresentationScratch

  init(_ scratch: any RepresentationScratch) {
    self.scratch = scratch
  }

  private func check() throws(ScratchError) {
    do throws(Interrupted) { try Interruption.check() } catch {
      throw ScratchError(error)
    }
  }

  func append(
    _ bytes: UnsafeRawBufferPointer, to section: ScratchSection
  ) throws(ScratchError) {
    try check()
    try scratch.append(bytes, to: section)
  }

  func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    try check()
    try scratch.read(section, at: offset, into: buffer)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError) {
    try check()
    try scratch.write(bytes, at: offset)
  }

  func commit() throws(ScratchError) {
    try check()
    try scratch.commit()
  }
}
