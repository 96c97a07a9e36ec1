import Catalogue
package import DataSets
package import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// One freeze: from a data set to an image in the catalogue, in a file, or both.
///
/// A signal that asks for the end (`Interruption`) takes back what was made until then.
package struct Freezing {
  private let dataSet: any DataSet
  private let request: FreezeRequest
  private let tell: (FreezeEvent) -> Void
  private let id = UniqueIdentifier.random()

  private var source: String { request.source }
  private var output: FilePath? { request.output }

  /// - Parameter watch: is told what happens, on the thread that runs the freeze.
  package init(
    _ dataSet: any DataSet, _ request: FreezeRequest,
    watch: @escaping (FreezeEvent) -> Void = { _ in }
  ) {
    self.dataSet = dataSet
    self.request = request
    tell = watch
  }

  /// Freezes and describes.
  ///
  /// - Throws: `Interrupted`, `UnreadableImage`, `CatalogueError`, and what the provider says;
  ///   then nothing of the image is left, or an event said so.
  package func run() throws -> FreezeResult {
    guard request.name != nil || !dataSet.leavesSomething else {
      throw Failure(
        .invalid,
        "freezing \(source) makes a snapshot, which has to be found again to be removed: give the "
          + "image a --name")
    }
    if let output { try OutputFile.check(output.string, replacing: request.replacesOutput) }
    Interruption.listen(
      lastWords:
        "floe: ended at once; floe images shows what the freeze left, floe thaw removes it\n")
    if let name = request.name { return try run(as: name) }
    do { return try runWithoutCatalogue() } catch {
      if Interruption.signal != nil { tell(.interrupted) }
      try Interruption.check()
      throw error
    }
  }

  private func run(as name: String) throws -> FreezeResult { try finish(begin(as: name)) }

  /// A freeze whose data set is frozen and not described yet. It is finished or given up.
  package struct Begun {
    let frozen: any FrozenDataSet
    /// When freezing began.
    let began: Timestamp
    let reservation: Reservation
    /// The image's identifier.
    package var id: UniqueIdentifier { reservation.record.id }
    /// Nanoseconds for which nobody could write, where that is known.
    package var quietTime: UInt64? { frozen.quietTime }
  }

  /// Freezes, and describes nothing yet: the short part of a freeze.
  ///
  /// - Parameters:
  ///   - name: in the catalogue.
  ///   - reserved: called with the image once the catalogue has a record of it.
  /// - Throws: as `run` does.
  package func begin(
    as name: String, reserved: (UniqueIdentifier) throws -> Void = { _ in }
  ) throws -> Begun {
    let planned = try aboutSource { try dataSet.plan(for: id) }
    // From here on a crash leaves a record that `floe images` lists and `floe thaw`
    // removes, together with what the freeze made.
    let reservation = try request.catalogue.reserve(
      id, name: name, provider: type(of: planned).provider, providerData: planned.text(),
      source: source)
    var made = planned
    do {
      try reserved(id)
      try Interruption.check()
      let began = Timestamp.now
      let frozen = try aboutSource { try dataSet.freeze(as: id) }
      made = frozen.record
      try reservation.update(providerData: made.text())
      return Begun(frozen: frozen, began: began, reservation: reservation)
    } catch {
      undo(made, reservation)
      try Interruption.check()
      throw error
    }
  }

  /// Describes what was frozen: the long part of a freeze.
  ///
  /// - Throws: as `run` does.
  package func finish(_ begun: Begun) throws -> FreezeResult {
    let (reservation, made) = (begun.reservation, begun.frozen.record)
    let name = reservation.record.name
    let record: ImageRecord
    let contents: Contents
    let copy: FileScratch?
    do {
      contents = try describe(
        begun.frozen, since: begun.began, as: name, into: reservation.representationPath)
      copy = try output.map { try beginCopy(of: reservation.representationPath, for: $0) }
      try Interruption.check()
      record = try reservation.complete()
    } catch {
      undo(made, reservation)
      try Interruption.check()
      throw error
    }
    // Only now: a file beside an image that did not come to be would lead nowhere.
    do { try copy?.commit() } catch {
      throw Failure(
        ErrorCode(of: error), "\(error); the image itself is complete, as \(name)")
    }
    return result(made, contents, name: name, length: record.representation?.length ?? 0)
  }

  /// Takes back what was begun.
  package func giveUp(_ begun: Begun) { undo(begun.frozen.record, begun.reservation) }

  private func runWithoutCatalogue() throws -> FreezeResult {
    guard let output else { throw Failure(.invalid, "there is no place for the image") }
    guard !dataSet.needsService else {
      throw Failure(
        .invalid,
        "reads of \(source) are validated by questions, as no witness shows its changes: give the "
          + "image a --name, so that floe serve can answer them")
    }
    let began = Timestamp.now
    let frozen = try aboutSource { try dataSet.freeze(as: id) }
    let name = output.stem ?? "image"
    let contents = try describe(frozen, since: began, as: name, into: output)
    var status = stat()
    guard stat(output.string, &status) == 0 else {
      throw Failure("\(output)", cause: Errno(rawValue: errno))
    }
    return result(
      frozen.record, contents, name: name, length: UInt64(clamping: status.st_size))
  }

  // MARK: - The description

  /// What a description tells of an image.
  private struct Contents {
    var progress = FreezeProgress()
    var media: [MediumDescription] = []
    var unreadable: UnreadableList?
    var quietTime: UInt64?
  }

  private func describe(
    _ frozen: any FrozenDataSet, since began: Timestamp, as name: String, into path: FilePath
  ) throws -> Contents {
    defer { tell(.descriptionEnded) }
    var contents = Contents()
    contents.quietTime = frozen.quietTime
    var refused: UnreadableList?
    let scratch = try FileScratch(
      writing: path, replacing: path != output || request.replacesOutput
    ) { representation throws(ScratchError) in
      let list = UnreadableList(of: representation)
      contents.unreadable = list
      if list.count > 0, request.isStrict {
        refused = list
        throw ScratchError(.medium, "not everything can be read")
      }
    }
    let now = Timestamp.now
    // What floe made no snapshot of came to rest nobody knows when.
    let lead = frozen.record.snapshot == nil ? 0 : max(now.seconds - began.seconds, 0) + 1
    let label = FrozenImageLabel(
      id: id, name: name, created: now, host: HostName.current, source: source,
      service: serviceAddress, freezeLead: UInt32(clamping: lead))
    do {
      contents.media = try aboutSource {
        try frozen.describe(label, scratch: InterruptibleScratch(scratch)) { progress in
          contents.progress = progress
          tell(.described(nodes: progress.nodes, bytes: progress.bytes))
        }
      }
    } catch {
      throw refused.map(UnreadableImage.init) ?? error
    }
    return contents
  }

  /// Has errors say what they are about.
  private func aboutSource<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as ScratchError {
      // It is about the place of the representation.
      throw error
    } catch {
      throw Failure.about(source, alias: [String(source.prefix { $0 != ":" })], error)
    }
  }

  /// Where a service will answer for the image: where the user said, or at the state
  /// directory's own socket; nowhere for an image that no catalogue has.
  private var serviceAddress: String {
    let directory = request.catalogue.directory.string
    return request.service
      ?? (request.name == nil ? "" : "floe+unix:\(HostPath.absolute(directory))/floe.sock/\(id)")
  }

  private func result(
    _ record: any ProviderRecord, _ contents: Contents, name: String, length: UInt64
  ) -> FreezeResult {
    FreezeResult(
      id: id, name: name, provider: type(of: record).provider, snapshot: record.snapshot,
      nodes: contents.progress.nodes, files: contents.progress.files,
      bytes: contents.progress.bytes, media: contents.media,
      unreadable: contents.unreadable ?? UnreadableList(), representationLength: length,
      output: output, quietTime: contents.quietTime)
  }

  // MARK: - When it fails

  /// Takes back what a freeze made that failed. What cannot be removed stays in the
  /// catalogue, as an orphan.
  private func undo(_ made: any ProviderRecord, _ reservation: Reservation) {
    let isInterrupted = Interruption.signal != nil
    let name = reservation.record.name
    if isInterrupted { tell(.removing(name: name)) }
    do {
      try made.release()
      try reservation.abandon()
      if isInterrupted { tell(.removed(name: name)) }
    } catch {
      tell(
        .leftBehind(reason: "\(error)", remedy: request.catalogue.command("thaw \(name)")))
    }
  }

  // MARK: - The copy

  /// Copies the representation to where the user wants it; it has its name there once
  /// that is committed.
  private func beginCopy(of path: FilePath, for output: FilePath) throws -> FileScratch {
    let copy = try FileScratch(writing: output, replacing: request.replacesOutput)
    do { try Self.copy(path, to: copy) } catch let error as Errno {
      throw Failure("\(path) cannot be read", cause: error)
    }
    return copy
  }

  private static func copy(_ path: FilePath, to copy: FileScratch) throws {
    let source = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
    try source.closeAfter {
      let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { chunk.deallocate() }
      var offset: UInt64 = 0
      while case let count = try source.read(into: chunk), count > 0 {
        try Interruption.check()
        try copy.write(UnsafeRawBufferPointer(rebasing: chunk[..<count]), at: offset)
        offset += UInt64(count)
      }
    }
  }
}
