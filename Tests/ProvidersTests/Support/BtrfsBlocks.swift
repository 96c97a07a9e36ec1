import FrozenImage
import Glibc
import HostSystem

/// Tree blocks of a btrfs on loop devices that is not mounted: found with btrfs-progs,
/// changed on the devices.
struct BtrfsBlocks {
  let device: String

  /// A leaf of a tree as `btrfs inspect-internal dump-tree` shows it.
  struct Leaf {
    let address: UInt64
    /// The text of each item, with its key in the first line.
    let items: [String]
  }

  /// The leaves of a tree, in the order of their keys.
  func leaves(of tree: String) throws -> [Leaf] {
    var leaves: [Leaf] = []
    var address: UInt64?
    var items: [String] = []
    func end() {
      if let address { leaves.append(Leaf(address: address, items: items)) }
      items = []
    }
    for line in try shell("btrfs inspect-internal dump-tree -t \(tree) \(device)")
      .split(separator: "\n")
    {
      if line.hasPrefix("leaf "), line.contains(" items ") {
        end()
        address = line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
      } else if line.hasPrefix("\titem ") {
        items.append(String(line))
      } else if let last = items.indices.last {
        items[last] += "\n" + line
      }
    }
    end()
    return leaves
  }

  /// Where the copies of a tree block lie on the device.
  private func places(of address: UInt64) throws -> [UInt64] {
    try shell("btrfs-map-logical -l \(address) \(device)").split(separator: "\n").compactMap {
      let words = $0.split(separator: " ")
      guard let index = words.firstIndex(of: "physical") else { return nil }
      return UInt64(words[index + 1])
    }
  }

  /// Changes every copy of a tree block.
  ///
  /// - Parameter sealed: whether its checksum is made right again.
  func change(
    _ address: UInt64, sealed: Bool, _ change: (inout [UInt8]) -> Void
  ) throws {
    let file = open(device, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { throw CommandError(description: "cannot open \(device): \(errno)") }
    defer { close(file) }
    let places = try places(of: address)
    guard !places.isEmpty else { throw CommandError(description: "\(address) lies nowhere") }
    for place in places {
      var block = [UInt8](repeating: 0, count: 16384)
      guard pread(file, &block, block.count, off_t(place)) == block.count else {
        throw CommandError(description: "cannot read \(device) at \(place)")
      }
      change(&block)
      if sealed {
        let checksum = block[32...].withUnsafeBytes { CRC32C.checksum($0) }
        for index in 0..<4 { block[index] = UInt8(truncatingIfNeeded: checksum >> (8 * index)) }
      }
      guard pwrite(file, block, block.count, off_t(place)) == block.count else {
        throw CommandError(description: "cannot write \(device) at \(place)")
      }
    }
    guard fsync(file) == 0 else { throw CommandError(description: "fsync: \(errno)") }
  }

  /// Makes a block unreadable on all of its copies.
  func destroy(_ address: UInt64) throws {
    try change(address, sealed: false) { $0 = [UInt8](repeating: 0x5A, count: $0.count) }
  }
}
