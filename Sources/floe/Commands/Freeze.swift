import ArgumentParser
import FrozenImage
import Glibc
import ImageService
import LinuxIO
import Providers

struct Freeze: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Freeze a btrfs subvolume and describe it.",
    discussion: """
      Makes a read-only snapshot in a directory of floe's own beside the subvolume (a subvolume \
      that is read-only already is taken as it is), reads its tree and its mapping, and writes the \
      logical representation into the state directory.
      """)

  @Argument(help: "The subvolume to freeze.")
  var path: String

  @Option(help: "The image's name: letters, digits, dots, underscores and dashes.")
  var name: String

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let freezer = try BtrfsFreezer(path: path)
    let path = MountTable.resolved(path) ?? path
    let id = UniqueIdentifier.random()
    var note = BtrfsNote(
      fileSystemID: freezer.fileSystemID, plannedSnapshot: freezer.plannedSnapshotPath(for: id),
      image: nil)
    // From here on a crash leaves a record that `floe images` lists and `floe thaw`
    // removes, together with the snapshot that it names.
    let reservation = try state.catalogue.reserve(
      id, name: name, provider: BtrfsNote.provider, providerData: note.text, source: path)
    do {
      let image = try freezer.freeze(as: id)
      note.image = image
      try reservation.update(providerData: note.text)
      var progress = ProgressLine()
      defer { progress.end() }
      let scratch = try FileScratch(writing: reservation.representationPath)
      try BtrfsFreezer.describe(
        image, as: id, name: name, host: HostName.current, source: path, scratch: scratch,
        progress: { progress.show($0) })
      progress.end()
      let record = try reservation.complete()
      report(record, image, progress.latest)
    } catch {
      undo(note, reservation)
      throw error
    }
  }

  /// Takes back what a freeze made that failed. What cannot be removed stays in the
  /// catalogue, as an orphan.
  private func undo(_ note: BtrfsNote, _ reservation: Reservation) {
    do {
      try note.release()
      try reservation.abandon()
    } catch {
      printError(
        "floe: what the freeze made could not be removed (\(error)); floe thaw \(name) removes it")
    }
  }

  private func report(_ record: ImageRecord, _ image: BtrfsImage, _ progress: FreezeProgress?) {
    guard json else {
      print("\(record.name) \(record.id)")
      return
    }
    struct Report: Encodable {
      var image: String
      var id: String
      var snapshot: String
      var files: UInt64
      var bytes: UInt64
      var representation_bytes: UInt64
    }
    print(
      JSON.text(
        of: Report(
          image: record.name, id: "\(record.id)", snapshot: image.snapshotPath,
          files: progress?.files ?? 0, bytes: progress?.bytes ?? 0,
          representation_bytes: record.representation?.length ?? 0)))
  }
}

/// A line that says how far a freeze is, for people at a terminal only.
private struct ProgressLine {
  private let isShown = isatty(2) == 1
  private let start = MonotonicClock.now()
  private var nextTime: UInt64 = 0
  private(set) var latest: FreezeProgress?

  mutating func show(_ progress: FreezeProgress) {
    latest = progress
    let now = MonotonicClock.now()
    guard isShown, now >= nextTime else { return }
    nextTime = now + 200_000_000
    let seconds = Double(now - start) / 1e9
    let rate = seconds > 0 ? UInt64(Double(progress.files) / seconds) : 0
    write("\r\u{1B}[K\(progress.files) files, \(progress.bytes >> 20) MiB, \(rate) files/s")
  }

  func end() {
    if isShown { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
