import FrozenImage
import ImageReader
import StackProvider

/// Answers for an image on a snapshot that floe made, which fills up besides.
struct SnapshotSource: ProductionHost {
  let source: StackSource
  let record: LogicalVolumeRecord

  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    try source.answer(question)
  }

  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try source.read(inode: inode, offset: offset, into: buffer)
  }

  func liveCheck() throws(SourceError) { try source.liveCheck() }

  func fill() -> SnapshotFill? { record.fill }
}
