import BlockMappers
import DataSets
import VolumeLayers

/// A kind of mapper, as the way up through a stack meets it.
///
/// A new kind is a folder of `BlockMappers`, which knows its format, a type like those below,
/// which says where it may be met, and a line in `StackFinder.mappers`.
protocol StackMapper: SendableMetatype {
  /// The layer that a block device is which the kernel made in this way, over what it is made
  /// of: a backup host may see only that.
  ///
  /// - Parameter depth: devices below each other that were met so far.
  /// - Returns: `nil` when it is no such device.
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer?

  /// The layer that another one holds: the part of it that is selected, or the only one.
  ///
  /// - Returns: `nil` when the layer holds nothing of this kind.
  static func layer(
    on layer: Layer, _ finder: inout StackFinder
  ) throws(StackError) -> Layer?
}

extension StackMapper {
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? { nil }

  static func layer(
    on layer: Layer, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? { nil }
}

extension StackFinder {
  /// The mappers that there are, in the order in which they are looked for. Disk images are
  /// not among them: they are met at the start alone (`StackPlace.disk(on:at:)`).
  static let mappers: [any StackMapper.Type] = [
    LoopDevices.self,
    Arrays.self,
    LogicalVolumes.self,
    Partitions.self,
  ]
}

/// A loop device lies in one piece in a file or on a device.
private enum LoopDevices: StackMapper {
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    try LoopDevice.layer(ofDevice: device.path)
  }
}

/// A logical volume lies on the physical volumes of its group.
private enum LogicalVolumes: StackMapper {
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    guard let volume = device.logicalVolume else { return nil }
    return try finder.logicalVolume(of: nil, id: volume, on: [])
  }

  static func layer(
    on layer: Layer, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    // A label under a partition table is a stale one: lvm2 does not look at it either.
    guard try !BootRecords.isPartitioned(layer), let volume = try PhysicalVolume.find(on: layer)
    else { return nil }
    return try finder.logicalVolume(of: nil, on: [volume])
  }
}

/// A partition lies in one piece on its disk.
private enum Partitions: StackMapper {
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    guard let part = device.partition else { return nil }
    let below = try finder.layer(of: part.disk, depth: depth + 1)
    return try finder.partition(part, shownAs: device.path, on: below)
  }

  static func layer(
    on layer: Layer, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    let isPartitioned = try BootRecords.isPartitioned(layer)
    // A file system may begin with what looks like a boot record.
    if finder.selectors.isEmpty, let content = try ContentProbe.find(on: layer),
      !isPartitioned || content.type != ContentProbe.physicalVolume
    {
      return nil
    }
    guard let table = try PartitionTable.find(on: layer) else { return nil }
    try finder.requireOneSectorSize(of: table, on: layer)
    finder.tables.append(table)
    return try finder.selectedPartition(of: table, on: layer)
  }
}
