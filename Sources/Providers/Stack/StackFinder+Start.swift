import Glibc
import ImageReader
import LinuxIO

extension StackFinder {
  mutating func start() throws(StackError) -> Layer {
    switch place.start {
    case .path(let path):
      return try disk(at: path)
    case .volumeGroup(let name):
      return try logicalVolume(of: name, on: [])
    }
  }

  /// The layer of a block device or a disk image's file, the same one each time.
  mutating func disk(at path: String) throws(StackError) -> Layer {
    let resolved = realpath(path, nil).map { name in
      defer { free(name) }
      return String(cString: name)
    }
    let key = resolved ?? path
    if let known = disks[key] { return known }
    let found =
      if let device = try StackDevice.find(path) {
        try layer(of: device, depth: 0)
      } else {
        try image(at: path)
      }
    disks[key] = found
    return found
  }

  /// A disk image's file. A guest that has a raw disk may write a qcow2 header to its
  /// start, which names files of the host, so a file that looks like qcow2 is one only
  /// when its name or the user says so.
  private func image(at path: String) throws(StackError) -> Layer {
    let file = try Self.medium(path)
    if place.format == .raw { return file }
    guard let image = try Qcow2.find(on: file) else {
      guard place.format == nil else { throw StackError("\(path) is no qcow2 image") }
      return file
    }
    guard place.format == .qcow2 || path.hasSuffix(".qcow2") else {
      throw StackError(
        "\(path) begins as a qcow2 image does, but is not named so: say --format qcow2, or "
          + "--format raw when its bytes are a disk's own")
    }
    return Layer(try image.map())
  }

  static func medium(_ path: String) throws(StackError) -> Layer {
    do throws(MediumError) {
      return Layer(try OpenMedium(path: path))
    } catch {
      throw StackError("\(path): \(error.reason)")
    }
  }

  /// The layer that a block device is: what the kernel made it of, where that is known,
  /// since a backup host may see only that.
  private mutating func layer(
    of device: StackDevice, depth: Int
  ) throws(StackError) -> Layer {
    guard depth < 8 else { throw StackError("\(device.path) is made of too many devices") }
    if device.partition == nil, let map = sysfs.multipathMap(overDevice: device.path),
      let whole = try StackDevice.find(map)
    {
      return try layer(of: whole, depth: depth + 1)
    }
    if let loop = try LoopDevice.layer(ofDevice: device.path) { return loop }
    if let part = device.partition {
      let below = try layer(of: part.disk, depth: depth + 1)
      return try partition(part, shownAs: device.path, on: below)
    }
    if let volume = device.logicalVolume {
      return try logicalVolume(of: nil, id: volume, on: [])
    }
    return try Self.medium(device.path)
  }
}
