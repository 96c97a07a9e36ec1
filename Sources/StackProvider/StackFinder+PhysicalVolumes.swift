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
    // What is looked at beside the way up is no part of it.
    let onTheWay = pins
    defer { pins = onTheWay }
    let layer = try named(place)
    if let (_, selectors) = NamedData.split(place), selectors.isEmpty,
      try BootRecords.isPartitioned(layer), let table = try PartitionTable.find(on: layer)
    {
      add(partitionsOf: table, to: &volumes)
      return
    }
    guard try MDMember.find(on: layer) == nil, let volume = try PhysicalVolume.find(on: layer)
    else { return }
    Self.add(volume, to: &volumes)
  }

  /// The layer at a place that the user named: a device, a disk image, or a partition of one.
  mutating func named(_ place: String) throws(StackError) -> Layer {
    guard let (path, selectors) = NamedData.split(place) else {
      throw StackError(.notFound, "\(place): there is no such file or device")
    }
    // As the device that it is, which the other physical volumes are, too.
    let device = try StackDevice.find(path)
    let isPlain = device != nil && device?.arrayMembers == nil && selectors.isEmpty
    var layer = isPlain ? try Self.medium(path) : try disk(at: path)
    if isPlain, try BootRecords.isPartitioned(layer) { layer = try disk(at: path) }
    if !selectors.isEmpty {
      guard let table = try PartitionTable.find(on: layer) else {
        throw StackError(
          .notFound, "\(path) has no partition table, so there is no “\(selectors[0])” in it")
      }
      let onTheWay = self.selectors
      self.selectors = selectors[...]
      layer = try selectedPartition(of: table, on: layer)
      let rest = self.selectors
      self.selectors = onTheWay
      if let rest = rest.first {
        throw StackError(.notFound, "\(layer.title) has no parts, so there is no “\(rest)” in it")
      }
    }
    return layer
  }

  /// Adds the one on a block device that nobody named.
  private mutating func add(device path: String, to volumes: inout [PhysicalVolume]) {
    // Logical volumes may belong to guests, whose bytes say what they like.
    let device = try? StackDevice.find(path)
    if device?.logicalVolume != nil { return }
    // Its multipath map shows the same bytes.
    if sysfs.multipathMap(overDevice: path) != nil { return }
    guard DeviceProbe.answers(path) else {
      let note = "\(path) does not answer and was left out of the search"
      if !notes.contains(note) { notes.append(note) }
      return
    }
    // What is looked at beside the way up is no part of it.
    let onTheWay = pins
    defer { pins = onTheWay }
    // A backup host sees the members of an array, not the array.
    let isArray = device?.arrayMembers != nil
    let layer: Layer
    do throws(StackError) {
      layer = isArray ? try disk(at: path) : try Self.medium(path)
    } catch {
      // What cannot be read is not ours; but an array may be, and is not proven now.
      if isArray { unprovenArrays.append("\(path) was left out: \(error)") }
      return
    }
    // A member of an array may begin as the array does.
    guard (try? BootRecords.isPartitioned(layer)) == false,
      isArray || Self.isNoMember(layer),
      let volume = try? PhysicalVolume.find(on: layer)
    else { return }
    Self.add(volume, to: &volumes)
  }

  /// Adds a physical volume, unless it is there: a partition that was met on its disk is a
  /// device of its own as well.
  private static func add(_ volume: PhysicalVolume, to volumes: inout [PhysicalVolume]) {
    if !isKnown(volume.layer, among: volumes.map(\.layer)) { volumes.append(volume) }
  }

  static func isKnown(_ layer: Layer, among known: [Layer]) -> Bool {
    var bases = [layer.base].compactMap { $0 }
    if case .medium(let medium) = layer.substance,
      let below = try? Self.layer(ofDevice: medium.path).base
    {
      bases.append(below)
    }
    return known.contains { known in
      known.isCut(as: layer) || bases.contains { known.base?.isSame(as: $0) ?? false }
    }
  }
}

extension Layer {
  /// Whether the layer lies in one piece in a file, rather than on a device.
  var isInFile: Bool {
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
