import FrozenImage
import Glibc
import SystemPackage

/// What the kernel shows of this host's block devices
/// (Documentation/ABI/stable/sysfs-block, testing/sysfs-block-dm in its sources).
public struct Sysfs: Sendable {
  /// Where it is mounted.
  private let root: String

  public init(root: String = "/sys") {
    self.root = root
  }

  /// The paths of this host's block devices.
  public func blockDevices() -> [String] {
    DirectoryListing.names(in: "\(root)/class/block").map(Self.path)
  }

  /// The hardware's own identifier of a block device, or of the disk that it is a part
  /// of; `nil` when there is none.
  ///
  /// - Parameter path: of the device.
  public func hardwareID(ofDevice path: String) -> HardwareID? {
    guard let number = Self.number(ofDevice: path) else { return nil }
    return hardwareID(of: number)
  }

  /// - Parameter number: as stat(2) gives it.
  package func hardwareID(of number: UInt64) -> HardwareID? {
    hardwareID(in: directory(of: number))
  }

  /// - Parameters:
  ///   - device: its directory.
  ///   - depth: maps below which it lies.
  private func hardwareID(in device: String, depth: Int = 0) -> HardwareID? {
    if let map = Self.text("\(device)/dm/uuid") {
      guard let id = HardwareID(ofMap: map) else { return nil }
      if id.isComparable || depth > 2 { return id }
      // The map's name says it in a form of its own; its paths have the kernel's.
      let paths = DirectoryListing.names(in: "\(device)/slaves")
      return paths.lazy.compactMap { hardwareID(in: "\(device)/slaves/\($0)", depth: depth + 1) }
        .first ?? id
    }
    // A partition's directory lies in its disk's.
    for place in ["wwid", "device/wwid", "../wwid", "../device/wwid"] {
      if let text = Self.text("\(device)/\(place)"), let id = HardwareID(text) { return id }
    }
    return nil
  }

  /// The multipath map that a block device, or the disk that it is a part of, is a path
  /// of: both show the same bytes. `nil` when there is none.
  ///
  /// - Parameter path: of the device.
  /// - Returns: the map's path.
  public func multipathMap(overDevice path: String) -> String? {
    guard let number = Self.number(ofDevice: path) else { return nil }
    return multipathMap(over: number)
  }

  /// The same of a device's number, as `st_rdev` holds it.
  package func multipathMap(over number: UInt64) -> String? {
    var disk = directory(of: number)
    if Self.text("\(disk)/partition") != nil { disk += "/.." }
    let map = DirectoryListing.names(in: "\(disk)/holders").first { holder in
      Self.text("\(disk)/holders/\(holder)/dm/uuid")?.hasPrefix("mpath-") ?? false
    }
    return map.map(Self.path)
  }

  private func directory(of number: UInt64) -> String {
    "\(root)/dev/block/\(DeviceNumber(packed: number))"
  }

  private static func number(ofDevice path: String) -> UInt64? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return nil }
    return UInt64(status.st_rdev)
  }

  /// The kernel writes "!" for a slash in a device's name.
  private static func path(of name: String) -> String {
    "/dev/" + String(name.map { $0 == "!" ? "/" : $0 })
  }

  /// The first line of an attribute; `nil` when it is not there, or empty.
  private static func text(_ path: String) -> String? {
    guard
      let file = try? FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
    else { return nil }
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0) }) ?? 0
    let line = String(decoding: bytes.prefix(count), as: UTF8.self).prefix { !$0.isNewline }
    return line.isEmpty ? nil : String(line)
  }
}
