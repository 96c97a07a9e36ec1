import FrozenImage
import HostSystem
import ImageReader
import ImageService
import Synchronization

/// A provider whose one file and whose answer are in memory.
final class MemoryImage: ProductionHost {
  struct Content: Sendable {
    var bytes: [UInt8] = []
    var answer: MappingAnswer
    var failure: SourceError?
    var questions: [MappingQuestion] = []
  }

  let content: Mutex<Content>
  /// Answers wait until this is open.
  let isOpen = Monitor(true)

  init(bytes: [UInt8] = [], answer: MappingAnswer = .sample(ranges: 3, extents: 3)) {
    content = Mutex(Content(bytes: bytes, answer: answer))
  }

  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let (answer, failure) = content.withLock { content in
      content.questions.append(question)
      return (content.answer, content.failure)
    }
    isOpen.wait { $0 ? .done(()) : .wait }
    if let failure { throw failure }
    return answer
  }

  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    let (bytes, failure) = content.withLock { ($0.bytes, $0.failure) }
    if let failure { throw failure }
    guard let start = Int(exactly: offset), start < bytes.count else { return 0 }
    let piece = bytes[start...].prefix(buffer.count)
    buffer.copyBytes(from: piece)
    return piece.count
  }

  func liveCheck() throws(SourceError) {
    if let failure = content.withLock({ $0.failure }) { throw failure }
  }
}
