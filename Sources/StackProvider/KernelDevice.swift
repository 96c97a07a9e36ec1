import CLinuxIO
import DataSets
import Glibc
import HostSystem

/// A block device as the kernel knows it, with what it lies on (sysfs,
/// Documentation/ABI/stable/sysfs-block in the kernel's sources).
struct KernelDevice {
  /// What a device lies on, or shows: another device, or a file.
  enum Node: Hashable {
    /// By the number that stat(2) gives.
    case device(UInt64)
    /// By st_dev and st_ino.
    case file(device: UInt64, inode: UInt64)
  }

  /// Bytes of another node that a device shows from its own first byte on.
  struct Part {
    let node: Node
    /// Bytes from the start of that node.
    let start: UInt64
  }

  let path: String
  let number: UInt64
  /// Bytes.
  let size: UInt64
  let isReadOnly: Bool
  /// Bytes of a logical sector; `nil` of a partition.
  let sectorSize: UInt64?
  /// The disk of a partition, the file or device behind a loop device, the device that
  /// a multipath map's paths show whole.
  let below: [Part]
  /// Devices that it is made of in a way that is not looked into.
  let madeOf: [Node]
  /// What device-mapper calls it.
  let mapName: String?

  /// All that this host has.
  static func all() -> [KernelDevice] {
    let directory = "/sys/class/block"
    return DirectoryListing.names(in: directory).compactMap {
      KernelDevice(name: $0, directory: "\(directory)/\($0)")
    }
  }

  private init?(name: String, directory: String) {
    guard let number = Self.number(in: directory),
      let sectors = Self.text("\(directory)/size").flatMap({ UInt64($0) }), sectors < 1 << 54
    else { return nil }
    // The kernel writes "!" for a slash in a device's name.
    path = "/dev/" + String(name.map { $0 == "!" ? "/" : $0 })
    self.number = number
    // sysfs counts 512 bytes, whatever the device's sectors have.
    size = sectors * 512
    sectorSize = Self.text("\(directory)/queue/logical_block_size").flatMap { UInt64($0) }
    isReadOnly = Self.text("\(directory)/ro") == "1"
    mapName = Self.text("\(directory)/dm/uuid")
    let slaves = DirectoryListing.names(in: "\(directory)/slaves").compactMap {
      Self.number(in: "\(directory)/slaves/\($0)").map(Node.device)
    }
    if Self.text("\(directory)/partition") != nil {
      guard let disk = Self.number(in: "\(directory)/.."),
        let start = Self.text("\(directory)/start").flatMap({ UInt64($0) }), start < 1 << 54
      else { return nil }
      below = [Part(node: .device(disk), start: start * 512)]
      madeOf = []
    } else if let loop = Self.loop(in: directory, path: path) {
      below = [loop]
      madeOf = []
    } else if mapName?.hasPrefix("mpath-") ?? false {
      below = slaves.map { Part(node: $0, start: 0) }
      madeOf = []
    } else {
      below = []
      madeOf = slaves
    }
  }

  /// What a loop device shows; `nil` when it is none, or has no file.
  private static func loop(in directory: String, path: String) -> Part? {
    guard let file = text("\(directory)/loop/backing_file") else { return nil }
    let start = text("\(directory)/loop/offset").flatMap { UInt64($0) } ?? 0
    var status = stat()
    let isThere = stat(file, &status) == 0
    if isThere, status.st_mode & S_IFMT == S_IFBLK {
      return Part(node: .device(UInt64(status.st_rdev)), start: start)
    }
    // The kernel tells whoever may open the device which file it is, wherever its name
    // leads by now.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    var loop = floe_loop_status()
    let isKnown = descriptor >= 0 && floe_loop_status(descriptor, &loop) == 0
    if descriptor >= 0 { close(descriptor) }
    if isKnown { return Part(node: .file(device: loop.device, inode: loop.inode), start: start) }
    guard isThere else { return nil }
    return Part(
      node: .file(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)), start: start)
  }

  /// A device's number as stat(2) gives it.
  private static func number(in directory: String) -> UInt64? {
    text("\(directory)/dev").flatMap(DeviceNumber.init)?.packed
  }

  /// The first line of an attribute; `nil` when it is not there, or empty.
  private static func text(_ path: String) -> String? {
    guard let bytes = try? CompleteFile.read(path) else { return nil }
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
    return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
  }
}
