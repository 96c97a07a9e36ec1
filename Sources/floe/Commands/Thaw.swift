import ArgumentParser
import Catalogue
import Freezing
import FrozenImage

struct Thaw: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Remove an image: its snapshot and its representation.",
    discussion: """
      Refused, unless forced, while a backup host has the image mounted. It counts until the \
      service has been running for 60 seconds without a word from it. One that mounted a file and \
      never reached the service is not known: look there first. Readers of a thawed image get ESTALE at their \
      next question, at once where a snapshot or a copy is removed; an image at rest stays \
      readable until its witness changes. Also removes what an interrupted freeze left.
      """)

  @Argument(help: "The image's name or UUID.")
  var image: String

  @Flag(help: "Thaw the image although it is mounted.")
  var force = false

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    var image: String
    var id: String
    /// Why what the freeze made may still be there.
    var left_over: String?
  }

  func run() throws {
    let thawed = try state.catalogue.thaw(image, force: force, release: Providers.all.release)
    let entry = thawed.entry
    if let reason = thawed.leftOver {
      printError(
        "floe: warning: \(reason); .floe/\(entry.id) may remain beside what was frozen: remove it, "
          + "a logical volume floe-\(entry.id) with lvremove, "
          + "on btrfs with btrfs subvolume delete, on XFS with chattr -R -i and rm -r")
    }
    if json {
      let report = Report(image: entry.label, id: "\(entry.id)", left_over: thawed.leftOver)
      return print(JSON.text(of: report))
    }
    printLine("\(entry.label) \(entry.id) thawed")
  }
}
