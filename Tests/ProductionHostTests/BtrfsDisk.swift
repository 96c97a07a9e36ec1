import BtrfsProvider
import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import LogicalRepresentation
import SystemPackage

/// A mounted btrfs with a subvolume that holds `FileTree`; gone with the object.
final class BtrfsDisk: Sendable {
  private let directory: TemporaryDirectory
  private let device: String
  private var mount: FilePath { directory.path.appending("mnt") }

  private init() throws {
    directory = try TemporaryDirectory()
    let place = directory.path
    try shell(
      """
      cd '\(place)'; mkdir mnt; truncate -s 256M disk; losetup -f --show disk >device
      mkfs.btrfs -q "$(cat device)"; mount -t btrfs "$(cat device)" mnt
      btrfs -q subvolume create mnt/data
      """)
    let file = try FileDescriptor.open(place.appending("device"), .readOnly)
    device = try file.closeAfter {
      var bytes = [UInt8](repeating: 0, count: 64)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      return String(decoding: bytes[..<count].filter { $0 > 32 }, as: UTF8.self)
    }
    try FileTree.make(in: mount.appending("data"))
  }

  deinit {
    try? shell("umount -l '\(mount)'")
    try? shell("losetup -d '\(device)'")
  }

  @Sendable static func make() throws -> HostUnderTest {
    let disk = try BtrfsDisk()
    let path = disk.mount.appending("data").string
    let id = UniqueIdentifier.random()
    let frozen = try BtrfsFreezer(path: path, barrier: WriterBarrier(program: program))
      .freeze(as: id)
    let file = disk.directory.path.appending("image.floe")
    let media = try BtrfsFreezer.describe(
      frozen, as: id, name: "data", host: "production1", source: path,
      scratch: FileScratch(writing: file), progress: { _ in })
    let representation = try Representation(MappedFile.copy(of: file))
    try representation.check()
    return HostUnderTest(
      host: try BtrfsSource(frozen, representation: { representation }),
      representation: representation,
      media: Dictionary(uniqueKeysWithValues: media.map { ($0.id, disk.device) }),
      thaw: { try BtrfsFreezer.thaw(frozen) }, keeping: disk)
  }

  /// The program beside the test bundle in the build directory, unless `FLOE` names another:
  /// a part of a freeze runs in a process of its own.
  private static let program: String = {
    if let named = getenv("FLOE") { return String(cString: named) }
    let own = FilePath(HostPath.resolved("/proc/self/exe") ?? "")
    return own.removingLastComponent().appending("floe").string
  }()

  /// Whether a btrfs can be made here; in CI it has to be.
  static let isPossible: Bool = {
    let tools = "for t in mkfs.btrfs btrfs losetup mount; do command -v $t >/dev/null; done"
    if getenv("CI") != nil || geteuid() == 0 && (try? shell(tools)) != nil { return true }
    print("SKIPPED: the production host's rules for a btrfs need root, and btrfs-progs")
    return false
  }()
}
