import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import Media
import Testing

@testable import FileTrees
@testable import VolumeLayers

/// What tests that mount ext4 need. With CI=true they run, and fail, rather than being
/// skipped.
enum ExtPrivileges {
  static let why: String = {
    if getuid() != 0 { return "it needs root" }
    return missing("mkfs.ext4 debugfs filefrag losetup mount setfattr setfacl chattr python3")
  }()

  static func missing(_ tools: String) -> String {
    let script = "for t in \(tools); do command -v $t >/dev/null || echo $t; done"
    guard let missing = try? shell(script), !missing.isEmpty else { return "" }
    return "it needs \(missing)"
  }

  static var suffice: Bool { isAllowed("ext test", why) }

  /// What the tests need that mount nothing.
  static var haveTools: Bool { isAllowed("rootless ext test", missing("mkfs.ext4 debugfs")) }

  private static func isAllowed(_ what: String, _ why: String) -> Bool {
    if why.isEmpty || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: \(what): \(why)")
    return false
  }
}

/// A file system in an image file, gone with the object.
final class ExtImage {
  let directory: String
  let path: String
  /// Where `mounted` mounts it.
  let mount: String

  /// - Parameters:
  ///   - format: the command that makes the file system.
  ///   - size: bytes, as `truncate` takes them.
  ///   - content: a script that makes a directory which is copied in without mounting.
  init(_ format: String, size: String = "256M", content: String? = nil) throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    directory = try shell("mktemp -d \(base)/floe-ext-XXXXXX").trimmed
    path = directory + "/image"
    mount = directory + "/mnt"
    do {
      try shell("mkdir \(mount); truncate -s \(size) \(path)")
      var options = "-q -F"
      if let content {
        try shell("mkdir \(directory)/content; cd \(directory)/content\n\(content)")
        options += " -d \(directory)/content"
      }
      try shell("\(format) \(options) \(path)")
    } catch {
      remove()
      throw error
    }
  }

  private func remove() {
    _ = try? shell(
      "mountpoint -q \(mount) && umount -l \(mount); rm -rf \(directory)", ignoringFailure: true)
  }

  deinit { remove() }

  /// Runs the body while the file system is mounted.
  func mounted<R>(_ options: String = "noatime", _ body: () throws -> R) throws -> R {
    try shell("mount -o loop,\(options) \(path) \(mount)")
    defer { _ = try? shell("umount \(mount)") }
    return try body()
  }

  /// Runs a script in the mounted file system's top directory.
  func fill(_ script: String, mounting options: String = "noatime") throws {
    _ = try mounted(options) { try shell("cd \(mount)\n\(script)") }
  }

  func layer() throws -> Layer { Layer(try OpenMedium(path: path)) }

  func open() throws -> ExtFileSystem { try ExtFileSystem(on: layer()) }

  /// What `debugfs` prints.
  func debug(_ request: String) throws -> String {
    try shell("debugfs -R '\(request)' \(path) 2>/dev/null")
  }

  /// Overwrites bytes of the image.
  func write(_ bytes: [UInt8], at offset: Int) throws {
    let file = Glibc.open(path, O_WRONLY | O_CLOEXEC)
    defer { close(file) }
    guard pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count else {
      throw CommandError(description: "cannot write \(path)")
    }
  }
}

/// A file system that was described.
struct DescribedExt {
  let fileSystem: ExtFileSystem
  let stack: Stack
  let representation: Representation

  init(_ fileSystem: ExtFileSystem) throws {
    self.fileSystem = fileSystem
    stack = try Stack(
      top: fileSystem.layer, identity: ExtFileSystem.identity, witness: ExtFileSystem.witness)
    let volume = VolumeDescription(
      id: fileSystem.id, label: fileSystem.label,
      state: MappingState(configurationID: try stack.configurationID(), cursor: []),
      map: try stack.storeMap(), media: try stack.media(), checksum: nil, checksumBlockSize: 0)
    let image = ImageDescription(
      id: .random(), name: "test", created: Timestamp(seconds: 0, nanoseconds: 0),
      provider: "ext4", host: "here", source: fileSystem.layer.title,
      statistics: fileSystem.statistics)
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(image: image, volumes: [volume], scratch: scratch)
    try fileSystem.describe(into: &writer, progress: { _ in })
    try writer.finish(rootInode: ExtFileSystem.rootInode, rootName: "/")
    representation = try Representation(ArrayRegion(scratch.result))
    try representation.check()
  }

  var root: NodeIndex { representation.roots[0].node }

  /// The node at a path from the root.
  func node(_ path: String) throws -> NodeIndex {
    var node = root
    for name in path.split(separator: "/") {
      node = try #require(
        try Array(name.utf8).withUnsafeBytes { try representation.lookup($0, in: node) }, "\(path)")
    }
    return node
  }

  /// The ranges of a file that hold data, neighbours joined, clipped to its size.
  func dataRanges(of node: NodeIndex) throws -> [Range<UInt64>] {
    let size = try representation.attributes(of: node).size
    var ranges: [Range<UInt64>] = []
    guard size > 0 else { return [] }
    for extent in try representation.extents(of: node, in: 0..<size) {
      guard extent.source != .unwritten else { continue }
      let range = extent.offset..<min(extent.end, size)
      if let last = ranges.last, last.upperBound == range.lowerBound {
        ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
      } else {
        ranges.append(range)
      }
    }
    return ranges
  }

  /// Bytes of a file, by its extents, resolved down to the media.
  func bytes(of node: NodeIndex, in range: Range<UInt64>) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    for extent in try representation.extents(of: node, in: range) {
      guard let part = extent.clipped(to: range) else { continue }
      let place = Int(part.offset - range.lowerBound)..<Int(part.end - range.lowerBound)
      switch part.source {
      case .unwritten: break
      case .inline(let offset):
        bytes.replaceSubrange(
          place, with: try representation.heapBytes(at: offset, count: place.count))
      case .stored(let address):
        bytes.replaceSubrange(place, with: try resolved(address, length: part.length))
      case .unreadable: Issue.record("the file is unreadable at \(part.offset)")
      case .encoded, .compressed:
        let inode = try representation.attributes(of: node).inode
        let count = try bytes.withUnsafeMutableBytes {
          try fileSystem.read(
            inode: inode, offset: part.offset,
            into: UnsafeMutableRawBufferPointer(rebasing: $0[place]))
        }
        #expect(count == place.count)
      }
    }
    return bytes
  }

  private func resolved(_ address: StoreAddress, length: UInt64) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for run in try representation.volumes[0].map.resolve(address, length: length) {
      let place = run.copies[0]
      let description = try #require(
        representation.volumes[0].media.first { $0.id == place.medium })
      let layer = try #require(stack.layers.first { $0.title == description.path })
      bytes += try layer.bytes(at: place.offset, count: Int(run.length))
    }
    return bytes
  }
}
