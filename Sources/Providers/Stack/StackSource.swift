public import FrozenImage
public import ImageReader
import Synchronization

/// Answers for an image in a volume stack at rest: where its layers lie now, and whether
/// it is still what was frozen.
///
/// Places in the top layer never change: only the layers below may move. So nothing of
/// a file ever changes, and an answer is the stack's present map.
public final class StackSource: MappingSource, Sendable {
  private let image: StackFreezer.Image
  private let latest: Mutex<Known>

  /// The stack as it was found last.
  private struct Known {
    var found: FoundStack
    var state: ConfigurationID
  }

  /// - Throws: `StackError` when the stack is not there any more.
  public init(_ image: StackFreezer.Image) throws {
    self.image = image
    let (found, state) = try FoundStack.settled { try StackFinder(image.place).find() }
    latest = Mutex(Known(found: found, state: state))
  }

  /// Proves that the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  public func liveCheck() throws(SourceError) {
    _ = try current()
  }

  /// The stack as it is now, with the image in it.
  private func current() throws(SourceError) -> Known {
    do {
      for _ in 0..<10 {
        let known = try refreshed()
        let stack = known.found.stack
        guard known.found.pins == image.pins else {
          throw SourceError.thawed("\(stack.top.title) is not what was frozen")
        }
        if known.found.content?.kind == image.kind,
          try known.found.contentWitness(of: stack.top) == image.witness
        {
          return known
        }
        // Unless it moved while it was looked at.
        if try stack.configurationID() == known.state {
          throw SourceError.thawed(
            "the file system on \(stack.top.title) was mounted or written since the freeze")
        }
      }
      throw StackError("the stack of the image keeps changing")
    } catch {
      switch error {
      case let error as SourceError: throw error
      default: throw .failed("\(error)")
      }
    }
  }

  /// The stack, found anew when its witness changed: finding it costs a look at every
  /// device.
  private func refreshed() throws -> Known {
    try latest.withLock { latest in
      if (try? latest.found.stack.configurationID()) != latest.state {
        let (found, state) = try FoundStack.settled { try StackFinder(image.place).find() }
        latest = Known(found: found, state: state)
      }
      return latest
    }
  }

  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let known = try current()
    do {
      let stack = known.found.stack
      let volume =
        known.state == question.known.configurationID
        ? nil : MappingAnswer.Volume(map: try stack.storeMap(), media: try stack.media())
      return MappingAnswer(
        state: MappingState(configurationID: known.state, cursor: []), changes: .ranges([]),
        volume: volume, behind: behind(question, known.state), located: [])
    } catch {
      throw .failed("\(error)")
    }
  }

  /// Media that show neither the present witness nor that of the state which the backup
  /// host knows: they lag, or are others.
  private func behind(_ question: MappingQuestion, _ state: ConfigurationID) -> Set<MediumID> {
    Set(
      question.found.entries.lazy.filter { entry in
        entry.bytes != state[entry.medium]
          && entry.bytes != question.known.configurationID[entry.medium]
      }.map(\.medium))
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    let known = try current()
    let count: Int
    do throws(StackError) {
      if inode == RawVolume.fileInode {
        count = try RawVolume.read(known.found.stack.top, offset: offset, into: buffer)
      } else if let content = known.found.content {
        count = try content.read(inode: inode, offset: offset, into: buffer)
      } else {
        throw StackError("the image has no inode \(inode)")
      }
    } catch {
      throw .failed(error.description)
    }
    // What was read is the image's if nothing moved meanwhile.
    guard try current().state == known.state else {
      throw .unreachable("\(known.found.stack.top.title) moved while it was read")
    }
    return count
  }
}

extension FoundStack {
  /// What the file system's witness shows; empty without one.
  func contentWitness(of top: Layer) throws(StackError) -> [UInt8] {
    var counted: [UInt8] = []
    for window in content?.witness ?? [] {
      let bytes = try top.bytes(at: window.offset, count: window.length)
      for fragment in window.fragments {
        counted += bytes[fragment.offset..<fragment.offset + fragment.length]
      }
    }
    return counted
  }
}
