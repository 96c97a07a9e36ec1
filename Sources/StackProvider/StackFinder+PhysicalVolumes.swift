import BlockMappers
import DataSets
import FrozenImage
import HostSystem
import ImageReader
import Media
import VolumeLayers

extension StackFinder {
  /// Physical volumes: the one that was met, those on other partitions of the disks that
  /// were met, and those at the places that the user named, or on any block device of
  /// this host. Of a disk image no other disk is looked at unless it is named.
  mutating func physicalVolumes(
    beside known: [PhysicalVolume]
  ) throws(StackError) -> [PhysicalVolume] {
    var volumes = known
    for table in tables { add(partitionsOf: table, to: &volumes) }
    for place in place.physicalVolumes { try add(named: place, to: &volumes) }
    if place.physicalVolumes.isEmpty, !known.contains(where: { $0.layer.isInFile }) {
      for path in sysfs.blockDevices() { add(device: path, to: &volumes) }
    }
    return volumes
  }

  /// Adds those on the partitions of a table.
  private func add(partitionsOf table: PartitionTable, to volumes: inout [PhysicalVolume]) {
    for part in table.partitions where !part.isExtended {
      // Of partitions that nobody named, those that cannot be read are not ours.
      guard let map = try? table.map(part), let volume = try? PhysicalVolume.find(on: Layer(map))
      else { continue }
      Self.add(volume, to: &volumes)
    }
  }

  /// Adds the one at a place that the user named: a device, a disk image, or a partition
  /// of one; of a disk without further words those on all its partitions.
  private mutating func add(
    named place: String, to volumes: inout [PhysicalVolume]
  ) throws(StackError) {
    guard let (path, selectors) = NamedData.split(place) else {
      throw StackError(.notFound, "\(place): there is no such file or device")
    }
    // As the device that it is, which the other physical volumes are, too.
    let isDevice = try StackDevice.find(path) != nil
    var layer = isDevice && selectors.isEmpty ? try Self.medium(path) : try disk(at: path)
    if selectors.isEmpty, try BootRecords.isPartitioned(layer) {
      if isDevice { layer = try disk(at: path) }
      if let table = try PartitionTable.find(on: layer) {
        add(partitionsOf: table, to: &volumes)
        return
      }
    }
    if !selectors.isEmpty {
      guard let table = try PartitionTable.find(on: layer) else {
        throw StackError(
          .notFound, "\(path) has no partition table, so there is no “\(selectors[0])” in it")
      }
      let onTheWay = self.selectors
      self.selectors = selectors[...]
      layer = try selectedPartition(of: table, on: layer)
      // What is looked at beside the way up is no part of it.
      pins.removeLast()
      let rest = self.selectors
      self.selectors = onTheWay
      if let rest = rest.first {
        throw StackError(.notFound, "\(layer.title) has no parts, so there is no “\(rest)” in it")
      }
    }
    guard let volume = try PhysicalVolume.find(on: layer) else { return }
    Self.add(volume, to: &volumes)
  }

  /// Adds the one on a block device that nobody named.
  private mutating func add(device path: String, to volumes: inout [PhysicalVolume]) {
    // Logical volumes may belong to guests, whose bytes say what they like.
    if (try? StackDevice.find(path))?.logicalVolume != nil { return }
    // Its multipath map shows the same bytes.
    if sysfs.multipathMap(overDevice: path) != nil { return }
    guard DeviceProbe.answers(path) else {
      let note = "\(path) does not answer and was left out of the search"
      if !notes.contains(note) { notes.append(note) }
      return
    }
    // Those that cannot be read are not ours.
    guard let layer = try? Self.medium(path), (try? BootRecords.isPartitioned(layer)) == false,
      let volume = try? PhysicalVolume.find(on: layer)
    else { return }
    Self.add(volume, to: &volumes)
  }

  /// Adds a physical volume, unless it is there: a partition that was met on its disk is a
  /// device of its own as well.
  private static func add(_ volume: PhysicalVolume, to volumes: inout [PhysicalVolume]) {
    let layer = volume.layer
    var bases = [layer.base].compactMap { $0 }
    if case .medium(let medium) = layer.substance,
      let below = try? Self.layer(ofDevice: medium.path).base
    {
      bases.append(below)
    }
    let isKnown = volumes.contains { known in
      known.layer.isCut(as: layer) || bases.contains { known.layer.base?.isSame(as: $0) ?? false }
    }
    if !isKnown { volumes.append(volume) }
  }
}

extension Layer {
  /// Whether the layer lies in one piece in a file, rather than on a device.
  fileprivate var isInFile: Bool {
    guard let medium = base?.medium as? OpenMedium else {
      // A qcow2 image: only files are.
      return true
    }
    return medium.deviceNumber == nil
  }

  /// Whether two are the same part of one layer.
  fileprivate func isCut(as other: Layer) -> Bool {
    guard case .mapped(let own) = substance, case .mapped(let map) = other.substance,
      own.lower.count == 1, map.lower.count == 1
    else { return false }
    return own.lower[0] === map.lower[0] && own.runs == map.runs
  }
}

extension Layer.Base {
  /// Whether two begin at the same byte of the same medium.
  fileprivate func isSame(as other: Layer.Base) -> Bool {
    guard offset == other.offset else { return false }
    if let number = (medium as? OpenMedium)?.deviceNumber,
      number == (other.medium as? OpenMedium)?.deviceNumber
    {
      return true
    }
    return medium.path == other.medium.path
  }
}
