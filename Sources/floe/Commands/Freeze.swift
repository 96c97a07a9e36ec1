import ArgumentParser
import FrozenImage
import ImageService
import LinuxIO
import Providers
import SystemPackage

struct Freeze: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Freeze a data set and describe it.",
    discussion: """
      A btrfs subvolume is frozen by a read-only snapshot in a directory of floe's own beside it \
      (one that is read-only already is taken as it is). A block device, a logical volume (VG/LV) \
      or a disk-image file is taken at rest; its layers are found by themselves, and where there \
      are several partitions or volumes, one is named after a colon: disk.img:2, disk.img:2:vg/root. \
      What a process has open for writing is refused.

      The logical representation goes into the state directory, where floe serve finds it (--name), \
      or into a file that floe mount takes as it is (-o), or both.
      """)

  @Argument(
    help: ArgumentHelp("What to freeze.", valueName: "path[:partition|:volume]|vg/lv"))
  var path: String

  @Option(help: "The image's name: letters, digits, dots, underscores and dashes.")
  var name: String?

  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Write the representation into FILE, too.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Where backup hosts reach the service of this image, for the file of -o: "
        + "floe+unix:SOCKET/IMAGE or floe://HOST[:PORT]/IMAGE.",
      valueName: "address"))
  var service: String?

  @Option(
    name: .customLong("pv"),
    help: ArgumentHelp(
      "Look for LVM2 physical volumes here (a device, a disk image, or a partition of one: b.raw:2) "
        + "rather than on all block devices; may be repeated.",
      valueName: "path[:partition]"))
  var physicalVolumes: [String] = []

  @Option(
    help: "What a disk image's file is, where its first bytes and its name do not agree.")
  var format: FormatName?

  @Flag(help: "Take a volume although nothing shows that it rests: you promise that it does.")
  var assumeFrozen = false

  @Flag(help: "Print the chain that was found, layer by layer, and freeze nothing.")
  var explain = false

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  enum FormatName: String, ExpressibleByArgument, CaseIterable {
    case raw, qcow2

    var format: StackPlace.ImageFormat { self == .raw ? .raw : .qcow2 }
  }

  func validate() throws {
    if !explain, name == nil, output == nil {
      throw ValidationError("say where the image goes: --name NAME, -o FILE, or both")
    }
    if service != nil, output == nil || name == nil {
      throw ValidationError("--service is for the file of -o, of an image that has a --name")
    }
    if explain, json { throw ValidationError("--explain has no JSON form") }
  }

  func run() throws {
    let dataSet = try DataSetFinder(
      physicalVolumes: physicalVolumes, format: format?.format, assumesFrozen: assumeFrozen
    ).find(path)
    if explain {
      for line in try dataSet.explanation { print(line) }
      return
    }
    for note in dataSet.notes { printError("floe: note: \(note)") }
    guard name != nil || !dataSet.leavesSomething else {
      throw Failure(
        "freezing \(path) makes a snapshot, which has to be found again to be removed: give the "
          + "image a --name")
    }
    if let service { _ = try ServiceAddress(service) }
    var freezing = Freezing(
      dataSet: dataSet, name: name, output: output.map { FilePath(MountTable.absolute($0)) },
      service: service, source: MountTable.resolved(path) ?? path, catalogue: state.catalogue)
    let frozen = try freezing.run()
    print(json ? JSON.text(of: frozen) : "\(frozen.image) \(frozen.id)")
  }
}
