import FrozenImage
import Glibc
import ImageReader
import Logging
import Synchronization
import Testing

@testable import HostSystem
@testable import LogicalRepresentation
@testable import Media
@testable import MountedTreeProvider
@testable import VerifiedReading
@testable import VolumeLayers

/// The backup host's reader over a tree whose device lies at a place that moves.
extension MountedTreeTests {
  /// A disk that holds a device's bytes at a place which its first block names, as a
  /// volume manager's metadata does.
  final class MovingDisk: Sendable {
    static let size = 1 << 30
    let path: String

    init(_ path: String) throws {
      self.path = path
      try shell("truncate -s \(Self.size) \(path)")
    }

    /// Brings the device's bytes to a place, then says so, then spoils the old place.
    func move(_ device: String, to offset: Int) throws {
      let old = try place(on: Layer(OpenMedium(path: path)))
      try shell(
        """
        dd if=\(device) of=\(path) bs=1M seek=\(offset >> 20) conv=notrunc iflag=direct status=none
        printf 'place%010d' \(offset) | dd of=\(path) conv=notrunc status=none
        """)
      if old != 0 {
        try shell(
          """
          yes poison | head -c 200M | dd of=\(path) bs=1M seek=\(old >> 20) iflag=fullblock \
            conv=notrunc status=none
          """)
      }
    }

    private func place(on disk: Layer) throws -> Int {
      Int(String(decoding: try disk.bytes(at: 5, count: 10), as: UTF8.self)) ?? 0
    }

    func stack(of tree: MountedTree, size: UInt64) throws -> Stack {
      let disk = Layer(try OpenMedium(path: path))
      let map = try LayerMap(
        title: "moving volume", size: size, lower: [disk],
        runs: [.linear(0..<size, at: LayerAddress(layer: 0, offset: UInt64(try place(on: disk))))],
        identity: [ProbeWindow(layer: 0, offset: 0, length: 5)],
        witness: [ProbeWindow(layer: 0, offset: 0, length: 512)])
      return try Stack(top: Layer(map), witness: tree.witness)
    }
  }

  @Suite("mounted tree: reading") struct ReadingTests {
    private func reader(
      _ image: FrozenTree, _ source: MountedTreeSource, _ representation: Representation
    ) throws -> BlockingReader {
      var options = BlockingReader.Options()
      options.limits.remapTimeout = 3_000_000_000
      return try BlockingReader(
        representation: representation, volume: representation.volumes[0],
        media: MediaTable(opener: { description, _ in try OpenMedium(path: description.path) }),
        source: source, options: options, logger: Logger(label: "test"))
    }

    private func bytes(_ reader: BlockingReader, _ image: FrozenTree, _ name: String) throws
      -> [UInt8]
    {
      var bytes = [UInt8](repeating: 0xEE, count: 300_000)
      let node = try image.node(name)
      let count = try bytes.withUnsafeMutableBytes { try reader.read(node, at: 0, into: $0) }
      return Array(bytes.prefix(count))
    }

    @Test(arguments: ["ext4", "xfs"])
    func aDeviceThatMovesIsFollowed(type: String) throws {
      let volume = try LoopFileSystem(type, size: "300M")
      try volume.run("head -c 200001 /dev/urandom > f; head -c 300000 /dev/urandom > g; : > empty")
      try volume.remount("ro")
      let tree = try MountedTree(path: volume.mount)
      let disk = try MovingDisk(volume.directory + "/moving")
      try disk.move(volume.device, to: 1 << 20)
      let stack = { @Sendable (tree: MountedTree) in try disk.stack(of: tree, size: 300 << 20) }
      let plain = try FrozenTree(tree)
      let representation = try FrozenTree.describe(tree, on: stack(tree))
      let source = try MountedTreeSource(
        tree.image, stack: { FoundStack(try stack($0), content: nil, pins: []) },
        representation: { representation })
      let reader = try reader(plain, source, representation)
      for (turn, offset) in [1, 400, 2, 401].enumerated() {
        if turn > 0 { try disk.move(volume.device, to: offset << 20) }
        for name in ["f", "g", "empty"] {
          #expect(
            try bytes(reader, plain, name) == contents(of: Array(volume.path(name).utf8)),
            "\(name) at \(offset)")
        }
        let statistics = reader.withRule { $0.statistics }
        #expect(statistics.remaps >= turn && statistics.productionHostBytes == 0)
        #expect(type == "xfs" || statistics.questions == turn)
      }
    }

    /// A raid below of which the kernel left out a leg that no medium tells of: the stack is
    /// looked for anew, and what is found is told although no witness changed.
    @Test func whatOnlyTheKernelKnowsIsAskedWithEveryAnswer() throws {
      let volume = try LoopFileSystem("ext4")
      try volume.run("head -c 200001 /dev/urandom > f")
      try volume.remount("ro")
      let plain = try FrozenTree(MountedTree(path: volume.mount))
      let isSo = Mutex(true)
      let looks = Mutex(0)
      let representation = plain.representation
      let source = try MountedTreeSource(
        plain.tree.image,
        stack: { tree in
          looks.withLock { $0 += 1 }
          isSo.withLock { $0 = true }
          var found = try FrozenTree.found(of: tree)
          found.liesOnRaid = true
          found.isSoHere = { isSo.withLock { $0 } }
          return found
        }, representation: { representation })
      let state = representation.volumes[0].state
      let question = MappingQuestion(
        known: state, found: state.configurationID, portions: [])
      // Which map a kernel that ran before had for the state nobody knows.
      #expect(try source.answer(question).volume != nil)
      let before = looks.withLock { $0 }
      _ = try source.answer(question)
      #expect(looks.withLock { $0 } == before)
      isSo.withLock { $0 = false }
      #expect(try source.answer(question).volume != nil)
      #expect(looks.withLock { $0 } > before)
    }

    @Test func onlyTheChangedFileIsLost() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("head -c 200000 /dev/urandom > f; head -c 200000 /dev/urandom > g")
      let image = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: true))
      let reader = try reader(image, image.source, image.representation)
      let frozen = try contents(of: Array(volume.path("g").utf8))
      #expect(try bytes(reader, image, "f") == contents(of: Array(volume.path("f").utf8)))
      try volume.run("printf x | dd of=f conv=notrunc status=none; sync -f .")
      let lost = reason { _ = try bytes(reader, image, "f") }
      #expect(lost.contains("was changed since it was frozen"))
      #expect(try bytes(reader, image, "g") == frozen)
      try shell("rm \(volume.path("g"))")
      #expect(reason { _ = try bytes(reader, image, "g") }.contains("was changed"))
    }

    @Test func aFileSystemMountedForWritingIsGivenUp() throws {
      for type in ["ext4", "xfs"] {
        let volume = try LoopFileSystem(type)
        try volume.run("head -c 200000 /dev/urandom > f")
        try volume.remount("ro")
        let image = try FrozenTree(MountedTree(path: volume.mount))
        let reader = try reader(image, image.source, image.representation)
        #expect(try bytes(reader, image, "f") == contents(of: Array(volume.path("f").utf8)))
        try shell("mount -o remount,rw \(volume.mount)")
        #expect(
          reason { _ = try bytes(reader, image, "f") }.contains("was mounted read-write"), "\(type)"
        )
      }
    }
  }
}
