import BlockMappers
import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import VolumeLayers

extension StackFinder {
  mutating func start() throws(StackError) -> Layer {
    switch place.start {
    case .path(let path):
      guard let found = try StackDevice.find(path) else { return try disk(at: path) }
      let layer = try layer(of: found, depth: 0)
      device = (path, layer)
      let disk = try place.disk(on: layer, at: path)
      disks[Self.key(path)] = disk
      return disk
    case .volumeGroup(let name):
      return try place.disk(on: logicalVolume(of: name, on: []), at: nil)
    }
  }

  /// The layer of a block device or a disk image's file, the same one each time.
  mutating func disk(at path: String) throws(StackError) -> Layer {
    let key = Self.key(path)
    if let known = disks[key] { return known }
    let found =
      if let device = try StackDevice.find(path) {
        try layer(of: device, depth: 0)
      } else {
        try place.disk(on: Self.file(path), at: path)
      }
    disks[key] = found
    return found
  }

  /// What a file is known by, whatever links lead to it.
  private static func key(_ path: String) -> String {
    realpath(path, nil).map { name in
      defer { free(name) }
      return PathText.text(cString: name)
    } ?? path
  }

  private static func file(_ path: String) throws(StackError) -> Layer {
    if let refusal = try ForeignFileSystem.refusal(ofFile: path) { throw refusal }
    return try medium(path)
  }

  static func medium(_ path: String) throws(StackError) -> Layer {
    do throws(MediumError) {
      return Layer(try OpenMedium(path: path))
    } catch {
      throw StackError(.medium, "\(path): \(error.reason)")
    }
  }

  /// The layer that a block device is: what the kernel made it of, where that is known,
  /// since a backup host may see only that.
  mutating func layer(
    of device: StackDevice, depth: Int
  ) throws(StackError) -> Layer {
    guard depth < 8 else { throw StackError(.noRoom, "\(device.path) is made of too many devices") }
    if device.partition == nil, let map = sysfs.multipathMap(overDevice: device.path),
      let whole = try StackDevice.find(map)
    {
      return try layer(of: whole, depth: depth + 1)
    }
    for mapper in Self.mappers {
      if let layer = try mapper.layer(of: device, depth: depth, &self) { return layer }
    }
    return try Self.medium(device.path)
  }
}
