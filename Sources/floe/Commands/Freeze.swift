import ArgumentParser
import DataSets
import Freezing
import FrozenImage
import HostSystem
import ImageAccess
import LogicalRepresentation
import SystemPackage

struct Freeze: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Freeze a data set and describe it.",
    discussion: """
      A btrfs subvolume is frozen by a read-only snapshot in a directory of floe's own beside it, \
      a read-only one as well (unless the whole file system is read-only). A mounted ext2/3/4 or XFS \
      on a logical volume is named by its directory and frozen by a read-only snapshot that lvm2 \
      makes, thin or thick as the volume is. A block device, a logical volume (VG/LV) \
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
      "Look for LVM2 physical volumes and members of md arrays here (a device, a disk image, or a "
        + "partition of one: b.raw:2) rather than on all block devices; may be repeated.",
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
  var formats: [DataFormat] = []

  @Flag(help: "Take a volume although nothing shows that it rests: you promise that it does.")
  var assumeFrozen = false

  @Option(
    help: ArgumentHelp(
      "Room for what changes in a mounted logical volume while its snapshot lives, with k, m, g or t "
        + "behind it; otherwise a quarter of the volume, or what its group has but for a tenth. Not of "
        + "a thin one.",
      valueName: "size"))
  var snapshotSize: ByteCount?

  @Flag(
    help: ArgumentHelp(
      "Have floe serve extend that snapshot when it is full to 80 %, by a fifth of its size, as far as "
        + "the volume group has room."))
  var extend = false

  @Option(
    help: ArgumentHelp(
      "Let a mounted logical volume go on when its device was suspended for so many seconds, "
        + "whatever lvm2 does.",
      valueName: "seconds"))
  var quietLimit: UInt32 = 10

  @Flag(
    help: ArgumentHelp(
      "Copy a directory of an XFS by reflinks, file by file, although a snapshot could be made."))
  var reflink = false

  @Flag(help: "Refuse an image of which something cannot be read.")
  var strict = false

  @Flag(help: "Print the chain that was found, layer by layer, and freeze nothing.")
  var explain = false

  @Flag(help: "Replace the file of -o when it is there already.")
  var force = false

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if !explain, name == nil, output == nil {
      throw ValidationError("say where the image goes: --name NAME, -o FILE, or both")
    }
    if service != nil, output == nil || name == nil {
      throw ValidationError("--service is for the file of -o, of an image that has a --name")
    }
    guard formats.count(where: \.isDisk) < 2, formats.count(where: { !$0.isDisk }) < 2
    else { throw ValidationError("--format names one format of the disk, and one file system") }
    if force, output == nil { throw ValidationError("--force is for the file of -o") }
    if quietLimit == 0 { throw ValidationError("--quiet-limit is at least one second") }
    if explain, json { throw ValidationError("--explain has no JSON form") }
  }

  func run() throws {
    let source = HostPath.resolved(path) ?? path
    let dataSet: any DataSet
    do {
      dataSet = try Providers.all.find(path, options)
      if explain {
        for line in try dataSet.explanation { printLine(line) }
        return
      }
    } catch {
      throw Failure.about(path, alias: [source, String(path.prefix { $0 != ":" })], error)
    }
    for remark in dataSet.remarks { printError("floe: note: \(remark)") }
    if let service {
      do throws(AddressError) {
        _ = try ServiceAddress(service)
      } catch {
        throw Failure("--service", cause: error)
      }
    }
    var request = FreezeRequest(source: source, name: name, catalogue: state.catalogue)
    request.output = output.map { FilePath(HostPath.absolute($0)) }
    request.replacesOutput = force
    request.service = service
    request.isStrict = strict
    let frozen: FreezeResult
    do {
      var watcher = FreezeWatcher()
      frozen = try Freezing(dataSet, request) { watcher.take($0) }.run()
    } catch let refused as UnreadableImage {
      throw Failure(
        .medium,
        "not everything can be read, and --strict refuses that: "
          + refused.parts.lines.joined(separator: "; "))
    }
    for line in frozen.unreadable.lines { printError("floe: unreadable: \(line)") }
    let report = FreezeReport(frozen)
    print(json ? JSON.text(of: report) : report.text)
  }

  private var options: SearchOptions {
    var options = SearchOptions()
    options.physicalVolumes = physicalVolumes
    options.formats = formats
    options.backing = backing
    options.assumesFrozen = assumeFrozen
    options.snapshotSize = snapshotSize?.bytes
    options.extendsSnapshot = extend
    options.quietLimit = UInt64(quietLimit)
    options.prefersReflinks = reflink
    return options
  }
}

extension DataFormat: ExpressibleByArgument {
  init?(argument: String) {
    guard let format = Providers.all.formats.first(where: { $0.name == argument })
    else { return nil }
    self = format
  }

  static var allValueStrings: [String] { Providers.all.formats.map(\.name) }
}
