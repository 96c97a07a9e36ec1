import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import Media
import TestTags
import Testing

@testable import DataSets
@testable import FileTrees
@testable import VolumeLayers

extension MountedTreeTests {
  /// An XFS on a layer that nobody can write, described through a private mount.
  @Suite("XFS on a snapshot") struct XFSFileSystemTests {
    /// A read-only device over an image, as a snapshot is one.
    private final class Snapshot {
      let device: String
      let layer: Layer

      init(of image: String) throws {
        device = try shell("losetup -f --show -r \(image)").trimmed
        layer = Layer(try OpenMedium(path: device))
      }

      deinit { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }

      func open(
        wasQuiet: Bool = false, isReadOnly: Bool = true, isMountedWithoutLog: Bool = false
      ) throws -> XFSFileSystem {
        var status = stat()
        try #require(stat(device, &status) == 0)
        let number = DeviceNumber(packed: UInt64(status.st_rdev))
        return try XFSFileSystem(on: layer, wasQuiet: wasQuiet) { [device] in
          XFSFileSystem.Device(
            path: device, number: number, isReadOnly: isReadOnly,
            isMountedWithoutLog: isMountedWithoutLog)
        }
      }

      func describe(_ found: XFSFileSystem) throws -> Representation {
        let stack = try Stack(
          top: layer, identity: XFSFileSystem.identity, witness: XFSFileSystem.witness)
        let volume = VolumeDescription(
          id: found.id, label: found.label,
          state: MappingState(configurationID: try stack.configurationID(), cursor: []),
          map: try stack.storeMap(), media: try stack.media(), validation: .witness,
          checksum: nil, checksumBlockSize: 0)
        let scratch = ArrayScratch()
        var writer = try RepresentationWriter(
          image: ImageDescription(
            id: .random(), name: "test", created: Timestamp(seconds: 0, nanoseconds: 0),
            provider: "xfs", host: "here", source: device, statistics: found.statistics),
          volumes: [volume], scratch: scratch)
        try found.describe(into: &writer) { _ in }
        try writer.finish(rootInode: found.topInode, rootName: "test")
        let representation = try Representation(ArrayRegion(scratch.result))
        try representation.check()
        return representation
      }
    }

    /// An image of what a script makes in an XFS.
    ///
    /// - Parameter isCrashed: whether its log is not replayed.
    private func image(
      _ system: LoopFileSystem, isCrashed: Bool = false, _ script: String
    ) throws -> Snapshot {
      try system.run(script)
      let image = "\(system.directory)/disk"
      try shell(
        isCrashed
          ? "xfs_io -x -c 'shutdown -f' \(system.mount); umount \(system.mount)"
          : "umount \(system.mount)")
      try shell("sync \(image); cp --sparse=always \(image) \(image).copy")
      return try Snapshot(of: "\(image).copy")
    }

    private static let size = "304M"

    @Test func everyFileLiesWhereTheRepresentationSays() throws {
      let system = try LoopFileSystem("xfs", format: "-i size=512", size: Self.size)
      let snapshot = try image(system, MountedTreeTests.content)
      let found = try snapshot.open()
      let representation = try snapshot.describe(found)
      try shell("mount -o ro,nouuid \(snapshot.device) \(system.mount)")
      defer { _ = try? shell("umount \(system.mount)", ignoringFailure: true) }
      let names = try shell("cd \(system.mount); find . -type f -printf '%i %s %P\\n'")
        .split(separator: "\n").map { $0.split(separator: " ", maxSplits: 2).map(String.init) }
      #expect(names.count > 10)
      for name in names {
        let (inode, size) = (try #require(UInt64(name[0])), try #require(Int(name[1])))
        // A name that is not UTF-8 cannot be opened by its text.
        guard size < 16 << 20, !name[2].contains("\u{FFFD}") else { continue }
        let node = try #require(try representation.node(withInode: inode, inRoot: 0))
        #expect(try representation.attributes(of: node).size == UInt64(size))
        let expected = try contents(of: Array("\(system.mount)/\(name[2])".utf8))
        var bytes = [UInt8](repeating: 0, count: size)
        for extent in try representation.extents(of: node, in: 0..<UInt64(size)) {
          guard case .stored(let address) = extent.source else { continue }
          let count = min(Int(extent.length), size - Int(extent.offset))
          bytes.replaceSubrange(
            Int(extent.offset)..<Int(extent.offset) + count,
            with: try snapshot.layer.bytes(at: address.offset, count: count))
        }
        #expect(bytes == expected, "\(name[2])")
        // And through the kernel, by the inode number alone.
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 1, alignment: 16)
        defer { room.deallocate() }
        #expect(try found.read(inode: inode, offset: 0, into: room) == size)
        #expect(room.prefix(size).elementsEqual(expected), "\(name[2])")
      }
      // No such inode, and one of no file.
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)
      defer { room.deallocate() }
      for inode in [UInt64(3), 1 << 40, .max] {
        #expect(throws: StackError.self) { try found.read(inode: inode, offset: 0, into: room) }
      }
    }

    @Test func aLogThatWasNotReplayedIsLeftAloneOnlyWhereTheFileSystemWasQuiet() throws {
      let system = try LoopFileSystem("xfs", size: Self.size)
      let snapshot = try image(
        system, isCrashed: true, "echo quiet >file; xfs_io -c freeze -c thaw .; echo later >other")
      let refused = #expect(throws: StackError.self) { try snapshot.describe(snapshot.open()) }
      let reason = String(describing: refused)
      #expect(reason.contains("was not replayed"), "\(reason)")
      // Who says that it was quiet is not believed.
      let found = #expect(throws: StackError.self) {
        try snapshot.describe(snapshot.open(wasQuiet: true))
      }
      let told = String(describing: found)
      #expect(told.contains("holds changes that are not in their places"), "\(told)")
      // Nothing was written to it meanwhile. What was copied while it was frozen is taken.
      let other = try LoopFileSystem("xfs", size: Self.size)
      let disk = "\(other.directory)/disk"
      try other.run(
        "echo quiet >file; xfs_freeze -f .; cp --sparse=always \(disk) \(disk).copy; xfs_freeze -u ."
      )
      let quiet = try Snapshot(of: "\(disk).copy")
      #expect(throws: StackError.self) { try quiet.describe(quiet.open()) }
      _ = try quiet.describe(quiet.open(wasQuiet: true))
    }

    @Test func whatMayBeWrittenOrIsMountedWithoutItsLogIsRefused() throws {
      let system = try LoopFileSystem("xfs", size: Self.size)
      let snapshot = try image(system, "echo a >a")
      let writable = #expect(throws: StackError.self) {
        try snapshot.describe(snapshot.open(isReadOnly: false))
      }
      #expect(writable?.description.contains("may be written") == true)
      let mounted = #expect(throws: StackError.self) {
        try snapshot.describe(snapshot.open(isMountedWithoutLog: true))
      }
      #expect(mounted?.description.contains("norecovery") == true)
    }

    @Test(arguments: [("-l logdev=", "log on another device"), ("-r rtdev=", "a realtime device")])
    func otherDevicesAreRefusedByName(option: String, reason: String) throws {
      let directory = try shell("mktemp -d /tmp/floe-xfs-XXXXXX").trimmed
      defer { _ = try? shell("rm -rf \(directory)", ignoringFailure: true) }
      try shell(
        """
        cd \(directory); truncate -s \(Self.size) data; truncate -s 128M other
        mkfs.xfs -q -f \(option)other\(option.hasPrefix("-l") ? ",size=64m" : "") data
        """)
      let refused = #expect(throws: StackError.self) {
        try XFSFileSystem(on: Layer(OpenMedium(path: "\(directory)/data")), wasQuiet: true) { nil }
      }
      let told = String(describing: refused)
      #expect(told.contains(reason), "\(told)")
    }
  }
}
