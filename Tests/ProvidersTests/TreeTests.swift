import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import BtrfsProvider

/// Every kind of node and extent that a btrfs has.
extension BtrfsTests {
  @Suite("btrfs tree") struct TreeTests {
    static let content = """
      btrfs -q subvolume create data; cd data
      : > empty; printf x > one; head -c 2000 /dev/urandom > inline
      head -c 4095 /dev/urandom > b4095; head -c 4096 /dev/urandom > b4096
      head -c 4097 /dev/urandom > b4097
      truncate -s 10M hole; head -c 9000 /dev/urandom | dd of=hole bs=1 seek=5000000 conv=notrunc status=none
      truncate -s 20M hole
      fallocate -l 1M preallocated; head -c 8192 /dev/urandom | \
        dd of=preallocated bs=4096 seek=10 conv=notrunc status=none
      touch kept; fallocate -n -l 1M kept; head -c 100 /dev/urandom | dd of=kept conv=notrunc status=none
      touch unsummed; chattr +C unsummed; head -c 300000 /dev/urandom > unsummed
      mkdir packed; chattr +c packed; yes floe | head -c 500000 > packed/large
      yes floe | head -c 3000 > packed/inline
      mkdir -p d/e/f; ln -s ../one d/link; ln one d/hard; ln one d/e/hard
      mkfifo fifo; mknod null c 1 3; mknod big b 259 70000
      setfattr -n user.colour -v blue one; setfattr -n trusted.floe -v secret one
      setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\\0' v)" one
      setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 b4096
      if command -v setfacl >/dev/null; then setfacl -m u:1234:rw one; setfacl -d -m g:9:rx d; fi
      printf odd > "$(printf 'n\\377\\001me')"; printf long > $(head -c 255 /dev/zero | tr '\\0' n)
      chown 1234:5678 inline; chmod 4751 b4095; touch -d '1901-02-03 04:05:06.789' b4097
      touch -d '2446-01-02 03:04:05.678901234' b4096
      btrfs -q subvolume create nested; printf inside > nested/file
      mkdir many; i=0; while [ $i -lt 3000 ]; do : > many/f$i; i=$((i + 1)); done
      """

    @Test func nodesAreAsStatShowsThem() throws {
      let volume = try LoopVolume()
      try shell("cd \(volume.mount)\n" + Self.content)
      let image = try DescribedImage(volume.path("data"))
      let nodes = try compare(
        image, node: image.representation.roots[0].node, path: Array(image.frozen.snapshotPath.utf8)
      )
      #expect(nodes > 3020)
      #expect(image.representation.image.source == volume.path("data"))
    }

    @Test func extentsOfEveryKindLeadToBytes() throws {
      let volume = try LoopVolume()
      try shell("cd \(volume.mount)\n" + Self.content)
      let image = try DescribedImage(volume.path("data"))
      let tally = try expectAllBytes(of: image, on: volume)
      #expect(tally.unwritten >= 2)
      #expect(tally.inline >= 4)
      #expect(tally.encoded == 0)
      #expect(tally.compressed >= 4)
      #expect(tally.stored >= 6)

      let unsummed = try #require(
        try image.files().first { $0.text == "/unsummed" }?.node)
      #expect(try image.representation.checksums(of: unsummed, in: 0..<300_000).isEmpty)
      #expect(try !image.representation.extents(of: unsummed, in: 0..<300_000).isEmpty)
    }

    /// Compares a node and what is below it with the snapshot; returns their count.
    func compare(_ image: DescribedImage, node: NodeIndex, path: [UInt8]) throws -> Int {
      let representation = image.representation
      let name = path.map { CChar(bitPattern: $0) } + [0]
      let text = String(decoding: path, as: UTF8.self)
      var status = stat()
      try #require(lstat(name, &status) == 0, "\(text)")
      let attributes = try representation.attributes(of: node)
      #expect(attributes.inode == status.st_ino, "\(text)")
      #expect(attributes.mode == status.st_mode, "\(text)")
      #expect(UInt64(attributes.links) == UInt64(status.st_nlink), "\(text)")
      #expect(attributes.owner == status.st_uid && attributes.group == status.st_gid, "\(text)")
      #expect(attributes.size == UInt64(status.st_size), "\(text)")
      #expect(attributes.blocks == UInt64(status.st_blocks), "\(text)")
      // The kernel makes up the times of the directory where a subvolume is nested.
      if status.st_ino != 2 {
        #expect(attributes.modified == Timestamp(status.st_mtim), "\(text)")
        #expect(attributes.accessed == Timestamp(status.st_atim), "\(text)")
        #expect(attributes.changed == Timestamp(status.st_ctim), "\(text)")
      }
      #expect(
        "\(attributes.deviceMajor):\(attributes.deviceMinor)" == deviceNumbers(status.st_rdev),
        "\(text)")
      if attributes.type == .symbolicLink {
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink(name, &target, target.count)
        let expected = target.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
        #expect(try representation.symbolicLinkTarget(of: node).elementsEqual(expected))
      }
      guard attributes.type == .directory else { return 1 }
      var entries: [[UInt8]] = []
      var count = 1
      while let entry = try representation.entry(at: UInt64(entries.count), of: node) {
        entries.append(Array(entry.name))
        count += try compare(image, node: entry.node, path: path + [0x2F] + Array(entry.name))
      }
      #expect(Set(entries) == Set(listing(name)), "\(text)")
      return count
    }

    private func deviceNumbers(_ device: dev_t) -> String {
      let number = UInt64(device)
      let major = number >> 8 & 0xFFF | number >> 32 & 0xFFFF_F000
      return "\(major):\(number & 0xFF | number >> 12 & 0xFFFF_FF00)"
    }

    @Test func extendedAttributesAreThoseOfTheSnapshot() throws {
      let volume = try LoopVolume()
      try shell("cd \(volume.mount)\n" + Self.content)
      let image = try DescribedImage(volume.path("data"))
      let representation = image.representation
      let root = representation.roots[0].node
      for name in ["one", "b4096", "d", "packed", "inline"] {
        let node = try Array(name.utf8).withUnsafeBytes {
          try representation.lookup($0, in: root)
        }
        let told = try representation.extendedAttributes(of: try #require(node)).map { attribute in
          let value = attribute.value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
          return String(decoding: attribute.name, as: UTF8.self)
            + (value.isEmpty ? "" : "=0x" + value.joined())
        }
        let shown = try shell("cd \(image.frozen.snapshotPath); getfattr -h -d -m - -e hex \(name)")
        let lines = shown.split(separator: "\n").map(String.init)
        #expect(Set(told) == Set(lines.filter { !$0.hasPrefix("#") }), "\(name)")
        #expect(told.isEmpty == (name == "inline"))
      }
    }

    private func listing(_ path: [CChar]) -> [[UInt8]] {
      guard let directory = opendir(path) else { return [] }
      defer { closedir(directory) }
      var names: [[UInt8]] = []
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
      }
      return names
    }
  }
}
