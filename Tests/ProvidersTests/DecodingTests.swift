import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing
import VerifiedReading

/// Compressed extents and every kind of data checksum, on real volumes: the reader gives
/// the kernel's bytes, and needs the production host for none of them.
extension BtrfsTests {
  @Suite("btrfs decoding") struct DecodingTests {
    struct Layout: CustomTestStringConvertible, Sendable {
      let checksum: String
      let algorithm: ChecksumAlgorithm
      let compression: String
      let profile: String
      let devices: Int
      var testDescription: String { "\(checksum), \(compression), \(profile)" }
    }

    static let layouts = [
      Layout(
        checksum: "crc32c", algorithm: .crc32c, compression: "zlib:9", profile: "raid0", devices: 2),
      Layout(
        checksum: "crc32c", algorithm: .crc32c, compression: "lzo", profile: "raid1", devices: 2),
      Layout(
        checksum: "xxhash", algorithm: .xxhash64, compression: "zstd:1", profile: "raid10",
        devices: 4),
      Layout(
        checksum: "sha256", algorithm: .sha256, compression: "zstd:15", profile: "dup", devices: 1),
      Layout(
        checksum: "blake2", algorithm: .blake2b, compression: "lzo", profile: "raid0", devices: 3),
      Layout(
        checksum: "blake2", algorithm: .blake2b, compression: "zlib:1", profile: "raid1c3",
        devices: 3),
    ]

    /// Text, bytes that hardly compress, holes, parts written anew, parts of extents
    /// shared at other offsets, preallocated space, ends inside a block, inline data.
    private static func content(_ path: String) -> String {
      """
      btrfs -q subvolume create \(path); cd \(path)
      python3 - <<'END'
      import fcntl, os, random, struct
      random.seed(5)
      words = [bytes(random.randrange(97, 123) for _ in range(random.randrange(2, 9))) for _ in range(400)]
      def text(count):
          return b" ".join(random.choices(words, k=count // 3 + 1))[:count]
      def write(name, data, at=0):
          with open(name, "r+b" if os.path.exists(name) else "wb") as f:
              f.seek(at); f.write(data); f.flush(); os.fsync(f.fileno())
      write("text", text(1500001))
      write("zeros", bytes(700000))
      write("mixed", b"".join(text(9000) + random.randbytes(random.randrange(1, 9000)) for _ in range(60)))
      write("random", random.randbytes(400000))
      write("anew", text(900000))
      for at in (5000, 131072, 262144 + 4096, 700001): write("anew", text(20000), at)
      write("anew", random.randbytes(8192), 400000)
      write("sparse", text(50000), 1000000); write("sparse", text(50000), 3000000)
      os.truncate("sparse", 5000000)
      write("cut", text(300000)); os.truncate("cut", 123457)
      for i in range(40): write("small%d" % i, text(100 * i + 1))
      write("shared", text(600000))
      source = os.open("text", os.O_RDONLY); target = os.open("shared", os.O_RDWR)
      for at, count, to in ((4096, 8192, 0), (131072 + 8192, 65536, 20480), (262144 - 4096, 300 * 4096, 40960 * 4)):
          fcntl.ioctl(target, 0x4020940d, struct.pack("qQQQ", source, at, count, to))
      write("allocated", b"")
      os.posix_fallocate(os.open("allocated", os.O_RDWR), 0, 1 << 20); write("allocated", text(30000), 100000)
      END
      cp --reflink=always text copy; sync -f .
      """
    }

    @Test(arguments: layouts)
    func needsNoProductionHost(_ layout: Layout) throws {
      let volume = try LoopVolume(
        devices: layout.devices,
        format: "--csum \(layout.checksum) -d \(layout.profile) "
          + "-m \(layout.devices > 1 ? "raid1" : "dup")",
        mounting: "noatime,compress-force=\(layout.compression)")
      try shell(Self.content(volume.path("s")))
      let image = try DescribedImage(volume.path("s"))
      #expect(image.volume.checksum == layout.algorithm)
      let reader = try reader(of: image)
      let compared = try reader.expectEveryFile(of: image, randomReads: 8, seed: 7)
      let statistics = reader.status.statistics
      #expect(statistics.productionHostBytes == 0)
      #expect(statistics.checksumMismatches == 0)
      #expect(statistics.storageBytes > UInt64(compared) / 2)
      #expect(statistics.decodedBytes > statistics.storageBytes / 2)

      // Everything moves, byte for byte: what was described still decodes and judges it.
      try shell("btrfs -q balance start -d \(volume.mount)")
      try reader.expectEveryFile(of: image, randomReads: 2, seed: 8)
      let moved = reader.status.statistics
      #expect(moved.productionHostBytes == 0)
      #expect(moved.checksumMismatches == 0)
      #expect(moved.remaps > 0)
    }

    /// Every kind of data checksum finds damage, of what is compressed and what is not.
    @Test(arguments: [
      ("crc32c", "zstd"), ("xxhash", "zlib"), ("sha256", "lzo"), ("blake2", "zstd"),
      ("sha256", "none"), ("blake2", "none"), ("xxhash", "none"),
    ])
    func damageIsFound(_ checksum: String, _ compression: String) throws {
      let volume = try LoopVolume(
        devices: 2, format: "--csum \(checksum) -d raid1 -m raid1",
        mounting: compression == "none" ? "noatime" : "noatime,compress-force=\(compression)")
      let path = volume.path("s")
      try shell(
        "btrfs -q subvolume create \(path); yes 'some line' | head -c 500000 > \(path)/f; sync -f \(path)"
      )
      let image = try DescribedImage(path)
      let file = try #require(try image.files().first)
      let expected = try image.contents(of: file)
      let copies = try places(of: file, at: 196_608, in: image)
      try #require(copies.count == 2)

      // One copy is damaged: the other one serves, and nobody is asked.
      try damage(copies[0], of: image, on: volume)
      let first = try reader(of: image)
      var found: [BadCopy] = []
      var bytes = [UInt8](repeating: 0, count: 500_000)
      _ = try bytes.withUnsafeMutableBytes {
        try first.read(file.node, at: 0, into: $0) { found.append($0) }
      }
      #expect(bytes == expected)
      #expect(found.map(\.isMismatch) == [true])
      #expect(found.first?.place == copies[0])
      #expect(first.status.statistics.productionHostBytes == 0)
      #expect(first.status.statistics.checksumMismatches == 1)

      // Both are: the production host reads the same media, so nothing is answered.
      try damage(copies[1], of: image, on: volume)
      try shell("echo 3 > /proc/sys/vm/drop_caches")
      let second = try reader(of: image)
      #expect(throws: ReadError.self) {
        var bytes = [UInt8](repeating: 0, count: 10)
        _ = try bytes.withUnsafeMutableBytes {
          try second.read(file.node, at: 200_000, into: $0) { found.append($0) }
        }
      }
      #expect(found.dropFirst().map(\.place) == copies)
      #expect(second.status.statistics.checksumMismatches > 0)
      #expect(second.status.statistics.errors == 1)
      // What lies elsewhere is as it was.
      #expect(
        try second.bytes(of: file.node, at: 400_000, count: 99_999)
          == Array(expected[400_000..<499_999]))
      #expect(second.status.statistics.productionHostBytes == 0)
    }

    /// The copies of the first stored byte of what holds a byte of a file.
    private func places(
      of file: DescribedImage.File, at offset: UInt64, in image: DescribedImage
    ) throws -> [MediumAddress] {
      let extent = try #require(
        try image.representation.extents(of: file.node, in: offset..<offset + 1).first)
      let address: StoreAddress
      switch extent.source {
      case .compressed(let run): address = run.address
      case .stored(let stored): address = stored
      default: return []
      }
      return try image.volume.map.resolve(address, length: 1).first?.copies ?? []
    }

    /// Overwrites some bytes on a medium, past the file system.
    private func damage(
      _ place: MediumAddress, of image: DescribedImage, on volume: LoopVolume
    ) throws {
      let description = try #require(image.volume.media.first { $0.id == place.medium })
      let index = try #require(volume.devices.firstIndex(of: description.path))
      try shell(
        "printf DAMAGE | dd of=\(volume.images[index]) bs=1 seek=\(place.offset + 20) "
          + "conv=notrunc status=none")
    }

    /// Runs that were written as they are (`BTRFS_IOC_ENCODED_WRITE`, linux/btrfs.h): one
    /// that decodes to less than it stands for, one whose file begins and ends inside it,
    /// and one that cannot be decoded although its checksums are right.
    @Test func whatWasWrittenEncoded() throws {
      let volume = try LoopVolume()
      let path = volume.path("s")
      try shell(
        """
        btrfs -q subvolume create \(path); cd \(path)
        python3 - <<'END'
        import ctypes, fcntl, os, random, struct, zlib
        random.seed(5)
        text = bytes(random.randrange(65, 75) for _ in range(131072))
        def write(name, data, length, decoded, offset):
            f = os.open(name, os.O_RDWR | os.O_CREAT)
            data = ctypes.create_string_buffer(data, len(data))
            vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(data), len(data)))
            fcntl.ioctl(f, 0x40809440, struct.pack(
                "QQqQQQQII64x", ctypes.addressof(vector), 1, 0, 0, length, decoded, offset, 1, 0))
            os.fsync(f)
        write("short", zlib.compress(text[:20000]), 65536, 65536, 0)
        write("inside", zlib.compress(text), 40000, 131072, 53248)
        write("broken", random.randbytes(5000), 16384, 16384, 0)
        END
        sync -f .
        """)
      let image = try DescribedImage(path)
      let reader = try reader(of: image)
      for file in try image.files() {
        guard file.text != "/broken" else {
          #expect(throws: ReadError.self) { try reader.bytes(of: file.node, at: 0, count: 100) }
          continue
        }
        let expected = try image.contents(of: file)
        #expect(expected.count == (file.text == "/short" ? 65536 : 40000))
        #expect(try reader.bytes(of: file.node, at: 0, count: 65536) == expected, "\(file.text)")
        #expect(
          try reader.bytes(of: file.node, at: 18_000, count: 4000)
            == Array(expected[18_000..<22_000]), "\(file.text)")
      }
      let statistics = reader.status.statistics
      #expect(statistics.productionHostBytes == 0)
      #expect(statistics.errors == 1)
      #expect(statistics.checksumMismatches == 0)
    }

    /// Without checksums nobody can tell which copy of a mirror is right; a single copy is
    /// decoded all the same.
    @Test func withoutVerificationAMirrorIsReadThroughTheProductionHost() throws {
      let volume = try LoopVolume(
        devices: 2, format: "-d raid1", mounting: "noatime,compress-force=zstd")
      try shell(
        "btrfs -q subvolume create \(volume.path("s")); yes line | head -c 300000 > \(volume.path("s"))/f"
      )
      let image = try DescribedImage(volume.path("s"))
      let unverified = try reader(of: image) { $0.verifiesChecksums = false }
      try unverified.expectEveryFile(of: image, randomReads: 5, seed: 1)
      #expect(unverified.status.statistics.storageBytes == 0)
      #expect(unverified.status.statistics.productionHostBytes > 300_000)
    }

    /// Reads while everything moves: stale bytes are thrown away before they count.
    @Test func movesWhileItIsRead() throws {
      let volume = try LoopVolume(
        devices: 2, size: "1G", format: "-d single -m raid1 --csum xxhash",
        mounting: "noatime,compress-force=zstd")
      try shell(Self.content(volume.path("s")))
      let image = try DescribedImage(volume.path("s"))
      let mover = try Mover(
        """
        while :; do
          btrfs -q balance start -d \(volume.mount)
          head -c 20M /dev/urandom > \(volume.path("junk")); sync -f \(volume.mount)
          rm \(volume.path("junk"))
        done
        """)
      defer { mover.stop() }
      let reader = try reader(of: image)
      var round: UInt64 = 0
      while round < 3 || reader.status.statistics.remaps == 0, round < 200 {
        try reader.expectEveryFile(of: image, randomReads: 10, seed: round)
        round += 1
      }
      let statistics = reader.status.statistics
      print("decoding while it moves: \(round) rounds, \(statistics)")
      #expect(statistics.errors == 0)
      #expect(statistics.remaps > 0)
      #expect(statistics.checksumMismatches == 0)
      // What moved is found again on the media.
      #expect(statistics.productionHostBytes < statistics.storageBytes / 4)
    }
  }
}
