import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageService
import LogicalRepresentation
import SystemPackage

/// What `floe freeze` tells; the JSON form's keys are part of floe's interface.
struct FreezeReport: Encodable {
  struct Medium: Encodable {
    var id: String
    /// What the volume calls it ("devid 1"), or its path.
    var label: String
    var path: String
    var size: UInt64

    init(_ medium: MediumDescription) {
      id = medium.id.description
      label = medium.label
      path = medium.path
      size = medium.size
    }
  }

  var image: String
  var id: String
  /// The provider ("btrfs", "stack").
  var provider: String
  /// The snapshot that was made, or taken as it is.
  var snapshot: String?
  /// Inodes of every type, files and directories among them.
  var nodes: UInt64
  /// Regular files, each once however many names it has.
  var files: UInt64
  /// Bytes of regular files, as their sizes tell.
  var bytes: UInt64
  /// Parts that could not be read.
  var unreadable_count: UInt64
  /// The first of them.
  var unreadable: [UnreadableReport]
  var representation_bytes: UInt64
  /// The representation's file, when one was asked for.
  var output: String?
  /// Everything that reads of the image go to.
  var media: [Medium]

  /// The report for people.
  var text: String {
    let lines = media.map { medium in
      "medium \(medium.label == medium.path ? "" : "\(medium.label): ")\(medium.path)"
    }
    return VisibleText.page(["\(image) \(id)"] + lines)
  }
}

/// A freeze as the user asked for it.
struct Freezing {
  let dataSet: any DataSet
  /// The image's name in the catalogue; `nil` when only a file is written.
  let name: String?
  /// An absolute path.
  let output: FilePath?
  /// Whether a file at `output` is replaced.
  let replacesOutput: Bool
  /// Where a service will answer, when the user said so.
  let service: String?
  /// What is frozen, for people.
  let source: String
  let catalogue: Catalogue
  /// Whether an image is refused of which something cannot be read.
  let isStrict: Bool

  private let id = UniqueIdentifier.random()
  private var progress = ProgressLine()
  private var media: [FreezeReport.Medium] = []
  /// What could not be read, once the image is described.
  private var unreadable: UnreadableList?

  init(
    dataSet: any DataSet, name: String?, output: FilePath?, replacesOutput: Bool,
    service: String?, source: String, catalogue: Catalogue, isStrict: Bool
  ) {
    self.dataSet = dataSet
    self.name = name
    self.output = output
    self.replacesOutput = replacesOutput
    self.service = service
    self.source = source
    self.catalogue = catalogue
    self.isStrict = isStrict
  }

  /// Freezes and describes.
  mutating func run() throws -> FreezeReport {
    if let output { try OutputFile.check(output.string, replacing: replacesOutput) }
    Interruption.listen()
    guard let name else {
      do { return try runWithoutCatalogue() } catch {
        if Interruption.signal != nil { printError("floe: interrupted; nothing was written") }
        try Interruption.check()
        throw error
      }
    }
    let planned = try aboutSource { try dataSet.plan(for: id) }
    // From here on a crash leaves a record that `floe images` lists and `floe thaw`
    // removes, together with what the freeze made.
    let reservation = try catalogue.reserve(
      id, name: name, provider: type(of: planned).provider, providerData: planned.text,
      source: source)
    var note = planned
    let record: ImageRecord
    let copy: FileScratch?
    do {
      try Interruption.check()
      note = try aboutSource { try dataSet.freeze(as: id) }
      try reservation.update(providerData: note.text)
      try describe(note, as: name, into: reservation.representationPath)
      copy = try output.map { try beginCopy(of: reservation.representationPath, for: $0) }
      try Interruption.check()
      record = try reservation.complete()
    } catch {
      undo(note, reservation)
      try Interruption.check()
      throw error
    }
    // Only now: a file beside an image that did not come to be would lead nowhere.
    do { try copy?.commit() } catch {
      throw Failure("\(error); the image itself is complete, as \(name)")
    }
    return report(note, name: name, length: record.representation?.length ?? 0)
  }

  private mutating func runWithoutCatalogue() throws -> FreezeReport {
    guard let output else { throw Failure("there is no place for the image") }
    guard !dataSet.needsService else {
      throw Failure(
        "reads of \(source) are validated by questions, as no witness shows its changes: give the "
          + "image a --name, so that floe serve can answer them")
    }
    let note = try aboutSource { try dataSet.freeze(as: id) }
    let name = output.stem ?? "image"
    try describe(note, as: name, into: output)
    var status = stat()
    guard stat(output.string, &status) == 0 else {
      throw Failure("\(output): \(Errno(rawValue: errno))")
    }
    return report(note, name: name, length: UInt64(clamping: status.st_size))
  }

  private mutating func describe(
    _ note: any ImageNote, as name: String, into path: FilePath
  ) throws {
    var progress = progress
    var unreadable: UnreadableList?
    let isStrict = isStrict
    defer {
      progress.end()
      self.progress = progress
      self.unreadable = unreadable
    }
    let scratch = try FileScratch(
      writing: path, replacing: path != output || replacesOutput
    ) { representation throws(ScratchError) in
      let list = UnreadableList(of: representation, limit: UnreadableList.listLimit)
      unreadable = list
      guard list.count == 0 || !isStrict else {
        throw ScratchError(
          "not everything can be read, and --strict refuses that: "
            + list.lines.joined(separator: "; "))
      }
    }
    let label = FrozenImageLabel(
      id: id, name: name, created: .now, host: HostName.current, source: source,
      service: serviceAddress)
    media = try aboutSource {
      try dataSet.describe(
        note, label, scratch: InterruptibleScratch(scratch), progress: { progress.show($0) })
    }.map(FreezeReport.Medium.init)
  }

  /// Has errors say what they are about.
  private func aboutSource<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      throw Failure.about(source, alias: [String(source.prefix { $0 != ":" })], error)
    }
  }

  /// Where a service will answer for the image: where the user said, or at the state
  /// directory's own socket; nowhere for an image that no catalogue has.
  private var serviceAddress: String {
    service
      ?? (name == nil
        ? "" : "floe+unix:\(MountTable.absolute(catalogue.directory.string))/floe.sock/\(id)")
  }

  /// What people are told of an image that has parts which cannot be read.
  var warnings: [String] {
    (unreadable?.lines ?? []).map { "floe: unreadable: \($0)" }
  }

  private func report(
    _ note: any ImageNote, name: String, length: UInt64
  ) -> FreezeReport {
    FreezeReport(
      image: name, id: "\(id)", provider: type(of: note).provider, snapshot: note.snapshot,
      nodes: progress.latest?.nodes ?? 0, files: progress.latest?.files ?? 0,
      bytes: progress.latest?.bytes ?? 0, unreadable_count: unreadable?.count ?? 0,
      unreadable: unreadable?.parts ?? [], representation_bytes: length,
      output: output?.string, media: media)
  }

  /// Takes back what a freeze made that failed. What cannot be removed stays in the
  /// catalogue, as an orphan.
  private func undo(_ note: any ImageNote, _ reservation: Reservation) {
    let isInterrupted = Interruption.signal != nil
    let name = reservation.record.name
    if isInterrupted {
      printError("floe: interrupted; removing what the freeze of “\(name)” made")
    }
    do {
      try note.release()
      try reservation.abandon()
      if isInterrupted { printError("floe: nothing is left of “\(name)”") }
    } catch {
      printError(
        "floe: what the freeze made could not be removed (\(error)); "
          + "\(catalogue.command("thaw \(name)")) removes it")
    }
  }

  /// Copies the representation to where the user wants it; it has its name there once
  /// that is committed.
  private func beginCopy(of path: FilePath, for output: FilePath) throws -> FileScratch {
    let copy = try FileScratch(writing: output, replacing: replacesOutput)
    do { try Self.copy(path, to: copy) } catch let error as Errno {
      throw Failure("\(path) cannot be read: \(error)")
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

extension Timestamp {
  /// The present time of the host's clock.
  static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
  }
}
