import ArgumentParser
import FrozenImage
import HostSystem
import ImageService
import StackProvider
import SystemPackage

struct Freeze: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Freeze a data set and describe it.",
    discussion: """
      A btrfs subvolume is frozen by a read-only snapshot in a directory of floe's own beside it, \
      a read-only one as well (unless the whole file system is read-only). A block device, a logical volume (VG/LV) \
      or a disk-image file is taken at rest; its layers are found by themselves, and where there \
      are several partitions or volumes, one is named after a colon: disk.img:2, disk.img:2:vg/root. \
      What a process has open for writing is refused.

      The logical representation goes into the state directory, where floe serve finds it (--name), \
      or into a file that floe mount takes as it is (-o), or both.

      A file, directory or extended attribute that cannot be read does not stop the freeze: it is \
      there in the image, answers EIO, and is named on standard error (the first 20, then a \
      count), by floe status and by floe inspect. --strict refuses such an image instead. Exit \
      status 0: the image is frozen.
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
    name: .customLong("backing"),
    help: ArgumentHelp(
      "A file, device or directory outside its own directory that a qcow2 image may lead to; may "
        + "be repeated.",
      valueName: "path"))
  var backing: [String] = []

  @Option(
    name: .customLong("format"),
    help: ArgumentHelp(
      "What a disk image's file or device is (raw, qcow2), where its first bytes and its name do "
        + "not agree; and which file system is on top (ext2, ext3, ext4), where signatures of "
        + "several are. May be given once for each.",
      valueName: "raw|qcow2|ext4"))
  var formats: [FormatName] = []

  @Flag(help: "Take a volume although nothing shows that it rests: you promise that it does.")
  var assumeFrozen = false

  @Flag(help: "Refuse an image of which something cannot be read.")
  var strict = false

  @Flag(help: "Print the chain that was found, layer by layer, and freeze nothing.")
  var explain = false

  @Flag(help: "Replace the file of -o when it is there already.")
  var force = false

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  enum FormatName: String, ExpressibleByArgument, CaseIterable {
    case raw, qcow2, ext2, ext3, ext4

    /// What the disk at the start is; `nil` for a file system.
    var disk: StackPlace.ImageFormat? {
      switch self {
      case .raw: .raw
      case .qcow2: .qcow2
      case .ext2, .ext3, .ext4: nil
      }
    }
  }

  func validate() throws {
    if !explain, name == nil, output == nil {
      throw ValidationError("say where the image goes: --name NAME, -o FILE, or both")
    }
    if service != nil, output == nil || name == nil {
      throw ValidationError("--service is for the file of -o, of an image that has a --name")
    }
    guard formats.count(where: { $0.disk != nil }) < 2, formats.count(where: { $0.disk == nil }) < 2
    else { throw ValidationError("--format names one format of the disk, and one file system") }
    if force, output == nil { throw ValidationError("--force is for the file of -o") }
    if explain, json { throw ValidationError("--explain has no JSON form") }
  }

  func run() throws {
    let source = MountTable.resolved(path) ?? path
    let dataSet: any DataSet
    do {
      dataSet = try DataSetFinder(
        physicalVolumes: physicalVolumes, format: formats.compactMap(\.disk).first,
        content: formats.contains { $0.disk == nil } ? .ext : nil, backing: backing,
        assumesFrozen: assumeFrozen
      ).find(path)
      if explain {
        for line in try dataSet.explanation { printLine(line) }
        return
      }
    } catch {
      throw Failure.about(path, alias: [source, String(path.prefix { $0 != ":" })], error)
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
      replacesOutput: force, service: service, source: source,
      catalogue: state.catalogue, isStrict: strict)
    let frozen = try freezing.run()
    for warning in freezing.warnings { printError(warning) }
    print(json ? JSON.text(of: frozen) : frozen.text)
  }
}
