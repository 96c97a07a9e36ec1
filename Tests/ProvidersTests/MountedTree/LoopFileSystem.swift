import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import Media
import TestTags
import Testing

@testable import MountedTreeProvider
@testable import VolumeLayers

/// Whether real file systems can be made here. With CI=true the tests run, and fail,
/// rather than being skipped.
enum MountedTreeNeeds {
  static let why: String = {
    let tools =
      "mkfs.ext4 mkfs.xfs losetup mount python3 setfattr setfacl chattr filefrag xfs_bmap xfs_io blkid"
    let missing = try? shell("for t in \(tools); do command -v $t >/dev/null || echo $t; done")
    if getuid() != 0 { return "it needs root" }
    if let missing, !missing.isEmpty { return "it needs \(missing)" }
    return ""
  }()

  static var areMet: Bool {
    if why.isEmpty || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: a test of mounted trees: \(why)")
    return false
  }
}

/// The tests on real ext2/3/4 and XFS: one after the other, because they share loop
/// devices and the machine's two cores.
@Suite(
  "mounted tree", .tags(.needsRoot, .needsLoopDevices), .serialized,
  .enabled(if: MountedTreeNeeds.areMet))
enum MountedTreeTests {
  /// Every kind of node and extent that ext4 and XFS have.
  static let content = """
    mkdir data; cd data
    : > empty; printf x > one; head -c 40 /dev/urandom > tiny; head -c 2000 /dev/urandom > small
    for n in 4095 4096 4097; do head -c $n /dev/urandom > b$n; done
    truncate -s 20M hole
    head -c 9000 /dev/urandom | dd of=hole bs=1 seek=5000000 conv=notrunc status=none
    fallocate -l 1M preallocated 2>/dev/null || truncate -s 1M preallocated
    head -c 8192 /dev/urandom | dd of=preallocated bs=4096 seek=10 conv=notrunc status=none
    touch kept; fallocate -n -l 1M kept 2>/dev/null || true
    head -c 100 /dev/urandom | dd of=kept conv=notrunc status=none
    head -c 4M /dev/urandom > large
    python3 - <<'END'
    import os, socket
    one, other = open("fragments", "wb"), open("others", "wb")
    for i in range(300):
        for file in one, other:
            os.pwrite(file.fileno(), os.urandom(4096), i * 4096)
            if i % 3 == 0: os.pwrite(file.fileno(), os.urandom(5000), 2000000 + i * 8192)
            os.fsync(file.fileno())
    socket.socket(socket.AF_UNIX).bind("socket")
    END
    mkdir -p d/e/f; ln -s ../one d/link; ln one d/hard; ln one d/e/hard
    ln -s "$(head -c 1000 /dev/zero | tr '\\0' l)" longlink
    mkfifo fifo; mknod null c 1 3; mknod big b 259 70000
    setfattr -n user.colour -v blue one; setfattr -n trusted.floe -v secret one
    setfattr -n user.empty one; setfattr -h -n trusted.link -v soft d/link
    setfattr -n user.large -v "$(head -c 700 /dev/zero | tr '\\0' v)" b4097
    setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 b4096
    setfacl -m u:1234:rw one; setfacl -d -m g:9:rx d; setfacl -m u:77:rwx d
    printf odd > "$(printf 'n\\377\\001me')"; printf long > $(head -c 255 /dev/zero | tr '\\0' n)
    chown 1234:5678 small; chown -h 42:43 d/link; chmod 4751 b4095
    touch -d '1911-02-03 04:05:06.789' b4097; touch -h -d '2001-02-03 04:05:06.987654321' d/link
    touch -d '2036-01-02 03:04:05.678901234' b4096; touch -d '2002-03-04 05:06:07.1234567' d/e
    mkdir many; i=0; while [ $i -lt 3000 ]; do : > many/f$i; i=$((i + 1)); done
    """
}

/// A real file system over a loop device, mounted for writing; gone again with the
/// object.
final class LoopFileSystem {
  let directory: String
  let mount: String
  let device: String
  let type: String

  /// - Parameters:
  ///   - type: of the file system, as mkfs and mount have it.
  ///   - format: options of mkfs.
  ///   - loop: options of losetup.
  init(
    _ type: String, format: String = "", size: String = "512M", loop: String = "",
    mounting: String = "noatime"
  ) throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    let directory = try shell("mktemp -d \(base)/floe-mounted-XXXXXX").trimmed
    self.directory = directory
    self.type = type
    mount = directory + "/mnt"
    do {
      device = try shell(
        """
        mkdir \(directory)/mnt; truncate -s \(size) \(directory)/disk
        losetup -f --show \(loop) \(directory)/disk
        """
      ).trimmed
    } catch {
      _ = try? shell("rm -rf \(directory)", ignoringFailure: true)
      throw error
    }
    let quiet = type == "xfs" ? "-q -f" : type == "btrfs" ? "-q" : "-q -F"
    try shell(
      "mkfs.\(type) \(quiet) \(format) \(device); mount -t \(type) -o \(mounting) \(device) \(mount)"
    )
  }

  deinit {
    let inner = "awk '$2 ~ \"^\(directory)/\" {print $2}' /proc/mounts | sort -r"
    _ = try? shell("for m in $(\(inner)); do umount -l $m; done", ignoringFailure: true)
    // A read-only flag would stay with the device's number, for whoever takes it next.
    _ = try? shell("blockdev --setrw \(device); losetup -d \(device)", ignoringFailure: true)
    _ = try? shell("rm -rf \(directory)", ignoringFailure: true)
  }

  func path(_ name: String) -> String { "\(mount)/\(name)" }

  /// Runs a script in the mounted file system.
  @discardableResult
  func run(_ script: String) throws -> String { try shell("cd \(mount)\n\(script)") }

  func remount(_ options: String) throws {
    try shell("sync -f \(mount); mount -o remount,\(options) \(mount)")
  }
}

/// A tree that was frozen and described.
final class FrozenTree {
  let tree: MountedTree
  let stack: Stack
  let representation: Representation
  let source: MountedTreeSource

  init(_ tree: MountedTree) throws {
    self.tree = tree
    let stack = try Self.stack(of: tree)
    self.stack = stack
    let representation = try Self.describe(tree, on: stack)
    self.representation = representation
    source = try MountedTreeSource(
      tree.image, stack: Self.found, representation: { representation })
  }

  @Sendable static func found(of tree: MountedTree) throws -> FoundStack {
    FoundStack(try stack(of: tree), content: nil, pins: [])
  }

  @Sendable static func stack(of tree: MountedTree) throws -> Stack {
    try Stack(
      top: Layer(OpenMedium(path: tree.device)), identity: tree.identity, witness: tree.witness)
  }

  static func describe(_ tree: MountedTree, on stack: Stack) throws -> Representation {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: ImageDescription(
        id: .random(), name: "test", created: Timestamp(seconds: 0, nanoseconds: 0),
        provider: tree.image.fileSystem, host: "here", source: tree.image.path,
        statistics: tree.statistics),
      volumes: [try tree.volume(on: stack)], scratch: scratch,
      showsIdentities: tree.image.promise == .reflinkCopy)
    try tree.describe(into: &writer, deviceLayer: stack.top, progress: { _ in })
    try writer.finish(rootInode: tree.topInode, rootName: "tree")
    let representation = try Representation(ArrayRegion(scratch.result))
    try representation.check()
    return representation
  }

  func node(_ path: String) throws -> NodeIndex {
    var node = representation.roots[0].node
    for name in path.split(separator: "/") {
      node = try #require(
        try Array(name.utf8).withUnsafeBytes { try representation.lookup($0, in: node) })
    }
    return node
  }

  func inode(_ path: String) throws -> UInt64 {
    try representation.sourceAttributes(of: node(path)).inode
  }

  /// All extents of a file.
  func extents(_ path: String) throws -> [FileExtent] {
    try representation.extents(of: node(path), in: 0..<UInt64(Int64.max))
  }

  /// All of a file, in whole blocks, as a reader asks for it.
  func portion(_ path: String) throws -> Portion {
    let attributes = try representation.sourceAttributes(of: node(path))
    return Portion(
      inode: attributes.inode, range: 0..<max((attributes.size + 4095) / 4096 * 4096, 4096))
  }

  /// The question of a backup host that sees every medium as this host does.
  func question(_ portions: [Portion] = [], validating: [Portion] = []) throws -> MappingQuestion {
    MappingQuestion(
      known: representation.volumes[0].state, found: try stack.configurationID(),
      portions: portions, validating: validating)
  }

  /// The inodes of the ranges that an answer names.
  func changes(validating paths: [String]) throws -> [String] {
    let answer = try source.answer(question(validating: paths.map(portion)))
    guard case .ranges(let ranges) = answer.changes else { return ["everything"] }
    let inodes = Set(ranges.map(\.lowerBound.inode))
    return try paths.filter { inodes.contains(try inode($0)) }
  }
}
