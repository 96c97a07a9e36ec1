import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import Testing

@testable import BtrfsProvider
@testable import DataSets
@testable import MountedTreeProvider
@testable import VolumeLayers

/// What a comparison leaves out: what a copy cannot keep.
struct Allowance: OptionSet {
  let rawValue: Int
  /// Blocks, access times and sizes of directories.
  static let copied = Allowance(rawValue: 1)
  /// Inode numbers and change times.
  static let identity = Allowance(rawValue: 4)
  /// The image is compared with the copy itself, which has numbers and times of its own.
  static let ownCopy = Allowance(rawValue: 2)
}

/// Compares a frozen tree, node by node, with a directory as the kernel shows it:
/// attributes, extended attributes, names, link targets and content, whose bytes come
/// from the device, the representation or the source as the extents tell.
struct TreeComparison {
  let image: FrozenTree
  var allowance: Allowance = []
  private(set) var nodes = 0
  private(set) var tally = ExtentTally()
  /// Inode number of each node by that of the directory compared with.
  private var links: [UInt64: UInt64] = [:]

  init(_ image: FrozenTree, allowing allowance: Allowance = []) {
    self.image = image
    self.allowance = allowance
  }

  mutating func compare(with path: String) throws {
    try compare(image.representation.roots[0].node, Array(path.utf8))
  }

  private mutating func compare(_ node: NodeIndex, _ path: [UInt8]) throws {
    nodes += 1
    let name = path.map { CChar(bitPattern: $0) } + [0]
    let text = String(decoding: path, as: UTF8.self)
    var status = stat()
    try #require(lstat(name, &status) == 0, "\(text)")
    let attributes =
      allowance.contains(.ownCopy)
      ? try image.representation.sourceAttributes(of: node)
      : try image.representation.attributes(of: node)
    expect(attributes, status, text)
    try expectExtendedAttributes(of: node, path, text)
    switch attributes.type {
    case .regular: try expectContent(of: node, attributes, path, text)
    case .symbolicLink:
      var target = [CChar](repeating: 0, count: 4096)
      let count = readlink(name, &target, target.count)
      let expected = target.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
      let found = try image.representation.symbolicLinkTarget(of: node)
      #expect(found.elementsEqual(expected), "\(text)")
    case .directory:
      var names: Set<[UInt8]> = []
      while let entry = try image.representation.entry(at: UInt64(names.count), of: node) {
        names.insert(Array(entry.name))
        try compare(entry.node, path + [0x2F] + Array(entry.name))
      }
      #expect(names == listing(name), "\(text)")
    default: break
    }
  }

  private mutating func expect(_ found: NodeAttributes, _ status: stat, _ text: String) {
    #expect(found.mode == status.st_mode, "\(text)")
    #expect(UInt64(found.links) == UInt64(status.st_nlink), "\(text)")
    #expect(found.owner == status.st_uid && found.group == status.st_gid, "\(text)")
    if found.type != .directory || !allowance.contains(.copied) {
      #expect(found.size == UInt64(status.st_size), "\(text)")
    }
    #expect(found.modified == Timestamp(status.st_mtim), "\(text)")
    let device = DeviceNumber(major: found.deviceMajor, minor: found.deviceMinor)
    #expect(device.packed == UInt64(status.st_rdev), "\(text)")
    // Names of one inode there are names of one inode here.
    let inode = UInt64(status.st_ino)
    #expect(links[inode, default: found.inode] == found.inode, "\(text)")
    links[inode] = found.inode
    if !allowance.contains(.identity) {
      #expect(found.inode == inode, "\(text)")
      #expect(found.changed == Timestamp(status.st_ctim), "\(text)")
    }
    guard !allowance.contains(.copied) else { return }
    #expect(found.blocks == UInt64(status.st_blocks), "\(text)")
    #expect(found.accessed == Timestamp(status.st_atim), "\(text)")
  }

  private func expectExtendedAttributes(
    of node: NodeIndex, _ path: [UInt8], _ text: String
  ) throws {
    // No program is started for each of thousands of empty files.
    guard !text.contains("/many/") else { return }
    let told = try image.representation.extendedAttributes(of: node).map { attribute in
      let value = attribute.value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      return String(decoding: attribute.name, as: UTF8.self)
        + "=0x" + value.joined()
    }
    let quoted = path.map { "\\" + String($0, radix: 8).leftPadded(3) }.joined()
    let shown = try shell("getfattr -h -d -m - -e hex --absolute-names \"$(printf '\(quoted)')\"")
    let lines = shown.split(separator: "\n").map(String.init).filter {
      !$0.hasPrefix("#")
        && !(allowance.contains(.ownCopy) && $0.hasPrefix("trusted.floe.original="))
    }
    #expect(Set(told) == Set(lines), "\(text)")
  }

  private mutating func expectContent(
    of node: NodeIndex, _ attributes: NodeAttributes, _ path: [UInt8], _ text: String
  ) throws {
    let expected = try contents(of: path)
    var found = [UInt8](repeating: 0, count: expected.count)
    #expect(UInt64(expected.count) == attributes.size, "\(text)")
    for extent in try image.representation.extents(of: node, in: 0..<UInt64(Int64.max)) {
      #expect(extent.end < attributes.size + 4096, "\(text)")
      let range = Int(extent.offset)..<Int(min(extent.end, attributes.size))
      switch extent.source {
      case .unwritten: tally.unwritten += 1
      case .inline(let heapOffset):
        tally.inline += 1
        found.replaceSubrange(
          range, with: try image.representation.heapBytes(at: heapOffset, count: range.count))
      case .encoded, .compressed, .unreadable:
        tally.encoded += 1
        let count = try found.withUnsafeMutableBytes {
          try image.source.read(
            inode: attributes.inode, offset: extent.offset,
            into: UnsafeMutableRawBufferPointer(rebasing: $0[range]))
        }
        #expect(count == range.count, "\(text)")
      case .stored(let address):
        tally.stored += 1
        found.replaceSubrange(
          range, with: try image.stack.top.bytes(at: address.offset, count: range.count))
      }
    }
    #expect(found == expected, "\(text)")
  }

  private func listing(_ path: [CChar]) -> Set<[UInt8]> {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: Set<[UInt8]> = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != [0x2E], name != [0x2E, 0x2E] { names.insert(name) }
    }
    return names
  }
}

extension String {
  fileprivate func leftPadded(_ count: Int) -> String {
    String(repeating: "0", count: Swift.max(0, count - self.count)) + self
  }
}
