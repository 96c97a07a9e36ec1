import ArgumentParser
import ImageService

struct Thaw: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove an image: its snapshot and its representation.",
    discussion: """
      Refused while a backup host has the image mounted, unless forced; its readers then get \
      ESTALE. Also removes what an interrupted freeze left.
      """)

  @Argument(help: "The image's name or UUID.")
  var image: String

  @Flag(help: "Thaw the image although it is mounted.")
  var force = false

  @OptionGroup var state: StateOptions

  func run() throws {
    let thawed = try state.catalogue.thaw(image, force: force) { record in
      try Provider.note(of: record).release()
    }
    let entry = thawed.entry
    if let reason = thawed.leftOver {
      printError(
        "floe: warning: \(reason); a snapshot named .floe/\(entry.id) may remain on the volume: "
          + "delete it with btrfs subvolume delete")
    }
    print("\(entry.label) \(entry.id) thawed")
  }
}
