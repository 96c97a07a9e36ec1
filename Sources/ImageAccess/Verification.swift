package import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import SystemPackage
package import VerifiedReading

/// Reads every byte of an image's files, and collects what is wrong with them.
package final class Verification: Sendable {
  /// A copy of some bytes that is damaged on its medium.
  package struct Mismatch: Codable {
    /// From the image's top down, with a slash before each name (`PathText`).
    package var path: String
    /// Bytes from the start of the file.
    package var offset: UInt64
    /// Which copy it is and what is wrong with it, for people.
    package var reason: String
  }

  /// A file that cannot be read as a whole.
  package struct Unreadable: Codable {
    /// From the image's top down, with a slash before each name (`PathText`).
    package var path: String
    /// What a read of it failed of, for people.
    package var reason: String
  }

  /// What was found so far.
  package struct Findings {
    /// Regular files that were read, or tried, to their end.
    package var files: UInt64 = 0
    /// Bytes that were read; holes are not.
    package var bytes: UInt64 = 0
    /// The first of them; `mismatchCount` counts all.
    package var mismatches: [Mismatch] = []
    /// Damaged copies, those beyond the list too.
    package var mismatchCount = 0
    /// The first of them; `unreadableCount` counts all.
    package var unreadable: [Unreadable] = []
    /// Files that cannot be read, those beyond the list too.
    package var unreadableCount = 0
    /// Why the walk over the tree ended early.
    package var failure: (any Error)?
  }

  private struct State {
    var workers = 0
    var findings = Findings()
  }

  /// Files that wait to be read, at the most, so that memory does not grow with the image.
  private static let queueLength = 1024
  /// Bytes that are read at once.
  private static let pieceLength = 4 << 20
  /// Most findings of one kind that are kept one by one.
  private static let findingLimit = 100_000

  private let reader: BlockingReader
  private let state = Monitor(State())
  private let files = WorkQueue<FileWalk.File>(limit: queueLength)

  package init(_ reader: BlockingReader) {
    self.reader = reader
  }

  /// Reads all files below a directory with several threads. Blocks.
  ///
  /// - Parameter progress: called now and then, from this thread.
  package func run(below root: NodeIndex, threads: Int, progress: (Findings) -> Void) -> Findings {
    do {
      for _ in 0..<threads {
        state.withLock { $0.workers += 1 }
        do throws(Errno) {
          try Thread.detach { self.work() }
        } catch {
          state.withLock { $0.workers -= 1 }
          throw Failure("no thread can be started to read with", cause: error)
        }
      }
      noteUnreadable()
      try FileWalk(of: reader.representation, below: root).forEach(
        directoryEnded: { progress(state.withLock { $0.findings }) }, { _ = files.add($0) })
    } catch {
      state.withLock { $0.findings.failure = error }
    }
    files.close()
    return state.wait { state in state.workers == 0 ? .done(state.findings) : .wait }
  }

  /// Notes what could not be read when the image was frozen, but for files' bytes: those
  /// are read like all others, and fail.
  private func noteUnreadable() {
    let representation = reader.representation
    var paths = UnreadablePaths(of: representation)
    for index in 0..<representation.unreadableCount {
      guard let part = try? representation.unreadablePart(at: index) else { continue }
      let type = (try? representation.attributes(of: part.node))?.type
      if part.part == .content, type == .regular { continue }
      let path = (try? paths.path(of: part)).flatMap { $0 }
      note(
        Unreadable(
          path: path.map { String(decoding: $0, as: UTF8.self) } ?? "", reason: part.reason))
    }
  }

  private func note(_ unreadable: Unreadable) {
    state.withLock { state in
      state.findings.unreadableCount += 1
      guard state.findings.unreadable.count < Self.findingLimit else { return }
      state.findings.unreadable.append(unreadable)
    }
  }

  // MARK: - Reading

  private func work() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.pieceLength, alignment: 4096)
    defer { buffer.deallocate() }
    while let job = files.next() {
      read(job, into: buffer)
      state.withLock { $0.findings.files += 1 }
    }
    state.withLock { $0.workers -= 1 }
    state.notifyAll()
  }

  /// Reads a file's data; holes have nothing that could be damaged.
  private func read(_ job: FileWalk.File, into buffer: UnsafeMutableRawBufferPointer) {
    var position: UInt64 = 0
    do {
      while let start = try reader.representation.nextData(of: job.node, from: position) {
        let end = try reader.representation.nextHole(of: job.node, from: start) ?? job.size
        position = start
        while position < end {
          let count = Int(min(UInt64(buffer.count), end - position))
          let got = try reader.read(
            job.node, at: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]),
            reporting: { note($0, of: job) })
          guard got > 0 else { break }
          position += UInt64(got)
          state.withLock { $0.findings.bytes += UInt64(got) }
        }
        guard position >= end else { break }
      }
    } catch {
      note(Unreadable(path: job.path, reason: "\(error)"))
    }
  }

  private func note(_ copy: BadCopy, of job: FileWalk.File) {
    state.withLock { state in
      state.findings.mismatchCount += 1
      guard state.findings.mismatches.count < Self.findingLimit else { return }
      state.findings.mismatches.append(
        Mismatch(path: job.path, offset: copy.offset, reason: copy.reason))
    }
  }
}
