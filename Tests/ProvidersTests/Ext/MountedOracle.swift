import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import BtrfsProvider
@testable import FileTrees

/// What the kernel shows of a mounted file system, compared with a description of it.
struct MountedOracle {
  let described: DescribedExt
  let mount: String
  /// By inode: birth time as `stat` prints it.
  private var births: [UInt64: String] = [:]
  /// By inode of files and directories: flags and generation, from the ioctls.
  private var ioctls: [UInt64: [UInt64]] = [:]
  /// By inode: extended attributes, each as name, equals sign and value, in hexadecimal.
  private var extendedAttributes: [UInt64: Set<String>] = [:]
  private(set) var nodes = 0

  init(_ described: DescribedExt, mount: String) throws {
    self.described = described
    self.mount = mount
    let birthText = try shell("cd \(mount); find . -print0 | xargs -0 stat -c '%i %.9W'")
    for line in birthText.split(separator: "\n") {
      let words = line.split(separator: " ")
      births[try #require(UInt64(words[0]))] = String(words[1])
    }
    let told = try shell("python3 - \(mount) <<'END'\n\(Self.script)\nEND")
    for line in told.split(separator: "\n") {
      let words = line.split(separator: " ")
      let inode = try #require(UInt64(words[1]))
      if words[0] == "flags" {
        ioctls[inode] = words[2...].compactMap { UInt64($0) }
      } else {
        extendedAttributes[inode, default: []].insert(String(words[2]))
      }
    }
  }

  /// What Swift's C library leaves out.
  private static let script = """
    import os, sys, stat, fcntl, struct
    for top, directories, files in os.walk(os.fsencode(sys.argv[1])):
      for name in [b'.'] + files + directories:
        path = os.path.join(top, name)
        status = os.lstat(path)
        for key in os.listxattr(path, follow_symlinks=False):
          value = os.getxattr(path, key, follow_symlinks=False)
          print('attribute', status.st_ino, os.fsencode(key).hex() + '=' + value.hex())
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)): continue
        file = os.open(path, os.O_RDONLY)
        flags = struct.unpack('I', fcntl.ioctl(file, 0x80086601, bytes(8))[:4])[0]
        version = struct.unpack('I', fcntl.ioctl(file, 0x80087601, bytes(8))[:4])[0]
        print('flags', status.st_ino, flags, version)
        os.close(file)
    """

  /// Compares a node and what is below it.
  mutating func compare(_ node: NodeIndex, at path: [UInt8]? = nil) throws {
    let path = path ?? Array(mount.utf8)
    nodes += 1
    let text = String(decoding: path, as: UTF8.self)
    let name = path.map { CChar(bitPattern: $0) } + [0]
    var status = stat()
    try #require(lstat(name, &status) == 0, "\(text)")
    let attributes = try described.representation.attributes(of: node)
    expectStatus(attributes, status, text)
    try expectAttributes(node, of: attributes.inode, text)
    switch attributes.type {
    case .symbolicLink:
      var target = [CChar](repeating: 0, count: 4096)
      let count = readlink(name, &target, target.count)
      let expected = target.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
      let told = try described.representation.symbolicLinkTarget(of: node)
      #expect(told.elementsEqual(expected), "\(text)")
    case .regular: try expectContent(node, name, text)
    case .directory:
      var entries: [[UInt8]] = []
      while let entry = try described.representation.entry(at: UInt64(entries.count), of: node) {
        entries.append(Array(entry.name))
        try compare(entry.node, at: path + [0x2F] + Array(entry.name))
      }
      let shown = Self.listing(name)
      #expect(entries.count == shown.count && Set(entries) == Set(shown), "\(text)")
    default: break
    }
  }

  private func expectStatus(_ attributes: NodeAttributes, _ status: stat, _ text: String) {
    #expect(attributes.inode == status.st_ino, "\(text)")
    #expect(attributes.mode == status.st_mode, "\(text)")
    #expect(UInt64(attributes.links) == UInt64(status.st_nlink), "\(text)")
    #expect(attributes.owner == status.st_uid && attributes.group == status.st_gid, "\(text)")
    #expect(attributes.size == UInt64(status.st_size), "\(text)")
    #expect(attributes.blocks == UInt64(status.st_blocks), "\(text)")
    #expect(attributes.modified == Timestamp(status.st_mtim), "\(text)")
    #expect(attributes.accessed == Timestamp(status.st_atim), "\(text)")
    #expect(attributes.changed == Timestamp(status.st_ctim), "\(text)")
    let device = UInt64(status.st_rdev)
    let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000
    let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
    #expect(
      UInt64(attributes.deviceMajor) == major && UInt64(attributes.deviceMinor) == minor,
      "\(text)")
    #expect(Self.birth(attributes.created) == births[attributes.inode], "\(text)")
    if let known = ioctls[attributes.inode] {
      #expect([attributes.inodeFlags, attributes.generation] == known, "\(text)")
    }
  }

  /// As `stat -c %.9W` prints it; 0 where there is none.
  private static func birth(_ time: Timestamp?) -> String {
    guard let time else { return "0.000000000" }
    let digits = String(time.nanoseconds)
    return "\(time.seconds)." + String(repeating: "0", count: 9 - digits.count) + digits
  }

  private func expectAttributes(_ node: NodeIndex, of inode: UInt64, _ text: String) throws {
    let told = try described.representation.extendedAttributes(of: node).map {
      Self.hexadecimal($0.name) + "=" + Self.hexadecimal($0.value)
    }
    #expect(Set(told) == extendedAttributes[inode] ?? [], "\(text)")
  }

  private static func hexadecimal(_ bytes: UnsafeRawBufferPointer) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// Where data lies, and the data: by the extents, and as the production host reads it.
  private func expectContent(_ node: NodeIndex, _ name: [CChar], _ text: String) throws {
    let file = Glibc.open(name, O_RDONLY | O_CLOEXEC)
    try #require(file >= 0, "\(text)")
    defer { close(file) }
    let attributes = try described.representation.attributes(of: node)
    let ranges = try described.dataRanges(of: node)
    // A mounted file system calls all of an inline file data.
    if attributes.inodeFlags & 0x1000_0000 == 0 {
      #expect(ranges == Self.dataRanges(of: file, size: attributes.size), "\(text)")
    }
    for range in ranges {
      // Also what lies around it.
      let start = range.lowerBound - min(range.lowerBound, 1000)
      var position = start
      let end = min(range.upperBound + 1000, attributes.size)
      while position < end {
        let length = Int(min(1 << 20, end - position))
        var expected = [UInt8](repeating: 0, count: length)
        #expect(pread(file, &expected, length, off_t(position)) == length, "\(text)")
        let found = try described.bytes(of: node, in: position..<position + UInt64(length))
        expectSame(found, expected, "\(text) at \(position)")
        var read = [UInt8](repeating: 0xEE, count: length)
        let count = try read.withUnsafeMutableBytes {
          try described.fileSystem.read(inode: attributes.inode, offset: position, into: $0)
        }
        #expect(count == length, "\(text) at \(position), read")
        expectSame(read, expected, "\(text) at \(position), read")
        position += UInt64(length)
      }
    }
  }

  /// `SEEK_DATA` and `SEEK_HOLE` (linux/fs.h).
  private static let seekData: Int32 = 3
  private static let seekHole: Int32 = 4

  private static func dataRanges(of file: Int32, size: UInt64) -> [Range<UInt64>] {
    var ranges: [Range<UInt64>] = []
    var position: off_t = 0
    while position < off_t(size) {
      let start = lseek(file, position, Self.seekData)
      guard start >= 0 else { break }
      let end = lseek(file, start, Self.seekHole)
      guard end > start else { break }
      ranges.append(UInt64(start)..<UInt64(end))
      position = end
    }
    return ranges
  }

  private static func listing(_ path: [CChar]) -> [[UInt8]] {
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

/// Compares without listing every difference, which takes minutes for large files.
func expectSame(
  _ found: [UInt8], _ expected: [UInt8], _ what: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard found != expected else { return }
  let difference = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
  Issue.record(
    "\(what): \(found.count) of \(expected.count) bytes, differ at \(difference ?? -1)",
    sourceLocation: sourceLocation)
}
