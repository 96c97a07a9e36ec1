package import FrozenImage
import Glibc
package import HostSystem
package import ImageReader
package import LogicalRepresentation
import SystemPackage

/// What is restored: an entry of the image and its name in the destination.
package struct RestorePart: Sendable {
  let node: NodeIndex
  let type: FrozenImage.FileType
  /// `nil` for a directory whose entries become those of the destination itself.
  let name: EntryName?

  /// A whole tree, whose top becomes the destination.
  package init(top: NodeIndex) {
    node = top
    type = .directory
    name = nil
  }

  /// - Parameter path: of the node in the image; its last name is the one in the destination.
  /// - Throws: `Failure` when it has none.
  package init(_ node: NodeIndex, _ type: FrozenImage.FileType, at path: String) throws(Failure) {
    let last = PathText.bytes(of: path).split(separator: UInt8(ascii: "/")).last { $0 != [0x2E] }
    guard let name = last.flatMap({ EntryName($0) }) else {
      throw Failure(.invalid, "“\(path)” has no name that it could have in the destination")
    }
    self.node = node
    self.type = type
    self.name = name
  }
}

/// Restores files of an image into a directory, without a mount.
package final class Restoration: Sendable {
  /// Files that wait to be read, at the most: the directory of each is open.
  private static let queueLength = 64

  private let representation: Representation
  private let contents: any FileReading
  private let parts: [RestorePart]
  private let options: RestoreOptions
  private let path: String
  private let destination: DestinationDirectory
  private let progress = RestoreProgress()
  private let files = WorkQueue<FileJob>(limit: queueLength)
  private let links = Monitor(LinkedNames())

  /// Looks at the destination, and makes it if it is not there.
  ///
  /// - Parameters:
  ///   - contents: what reads the files' bytes; called from several threads.
  ///   - path: of the destination; the directory above it has to be there.
  /// - Throws: `Failure` when it cannot be used, or holds what would be in the way.
  package init(
    of representation: Representation, _ parts: [RestorePart], contents: any FileReading,
    to path: String, _ options: RestoreOptions
  ) throws(Failure) {
    self.representation = representation
    self.contents = contents
    self.parts = parts
    self.options = options
    self.path = path
    do throws(Errno) {
      // One that becomes the image's top gets its mode in the end; until then it is closed.
      let mode: mode_t = parts.contains { $0.name == nil } ? 0o700 : 0o777
      if mkdir(path, mode) != 0, errno != EEXIST { throw Errno(rawValue: errno) }
      destination = try DestinationDirectory(path: path)
      if mode == 0o700, try destination.isEmpty() { destination.closeToOthers() }
    } catch {
      throw Failure("the destination \(path) cannot be used", cause: error)
    }
    try checkDestination()
  }

  private func checkDestination() throws(Failure) {
    var names: Set<EntryName> = []
    var inTheWay: String?
    for part in parts {
      guard let name = part.name else { continue }
      guard names.insert(name).inserted else {
        throw Failure(
          .invalid, "two of the paths end in “\(name.text)”, and both would be \(path)/\(name.text)"
        )
      }
    }
    guard !options.resumes, !options.overwrites else { return }
    let advice = "--resume goes on with an interrupted restore, --overwrite replaces files"
    do throws(Errno) {
      for name in names where try destination.status(of: name) != nil {
        inTheWay = "\(path)/\(name.text) is there already"
      }
      if names.isEmpty, try !destination.isEmpty() {
        inTheWay = "the destination \(path) is not empty"
      }
    } catch {
      throw Failure("the destination \(path) cannot be read", cause: error)
    }
    if let inTheWay { throw Failure(.exists, "\(inTheWay): \(advice)") }
  }

  /// Restores all of it with several threads. Blocks.
  ///
  /// - Parameter tell: called some times a second, from this thread.
  /// - Throws: `Interrupted`; `Failure` when nothing more can be restored: no room is left, or
  ///   the image is gone. A part of the files is there then, each of them whole.
  package func run(tell: (RestoreFindings) -> Void) throws -> RestoreFindings {
    do {
      for _ in 0..<max(options.threads, 1) { try start { $0.write() } }
      try start { $0.make() }
    } catch {
      files.close()
      progress.waitForWorkers(tell)
      throw error
    }
    progress.waitForWorkers(tell)
    if progress.end == nil {
      try start { $0.complete() }
      progress.waitForWorkers(tell)
    }
    guard let end = progress.end else { return progress.findings }
    if let interrupted = end as? Interrupted { throw interrupted }
    let count = progress.findings.files
    throw Failure(
      "the restore into \(path) ended after \(count) files, and --resume goes on with it",
      cause: end)
  }

  private func start(_ work: @escaping @Sendable (Restoration) -> Void) throws {
    progress.workerStarts()
    do throws(Errno) {
      try Thread.detach {
        work(self)
        self.progress.workerEnds()
      }
    } catch {
      progress.workerEnds()
      throw Failure("no thread can be started to restore with", cause: error)
    }
  }

  /// The first walk.
  private func make() {
    var making = TreeMaking(
      representation: representation, options: options, progress: progress,
      handOut: { [files] in files.add($0) })
    let descent = TreeDescent(
      representation: representation, progress: progress, notesFailures: true)
    for part in parts { descent.run(part, in: destination, &making) }
    links.withLock { [making] in $0 = making.links }
    files.close()
  }

  /// The second walk.
  private func complete() {
    var completion = TreeCompletion(
      representation: representation, options: options, progress: progress,
      destination: destination, links: links.withLock { $0 })
    let descent = TreeDescent(
      representation: representation, progress: progress, notesFailures: false)
    for part in parts { descent.run(part, in: destination, &completion) }
    do throws(Errno) {
      try destination.synchronize()
    } catch {
      progress.fail("", Failure("what was restored cannot be written to the disk", cause: error))
    }
  }

  private func write() {
    let writing = FileWriting(representation, contents, options, progress)
    while let job = files.next() {
      if progress.end == nil { writing.restore(job) }
    }
  }
}
