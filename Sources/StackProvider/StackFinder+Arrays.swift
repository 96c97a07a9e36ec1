import BlockMappers
import DataSets
import FrozenImage
import HostSystem
import Media
import VolumeLayers

/// An md array lies on its members.
enum Arrays: StackMapper {
  static func layer(
    of device: StackDevice, depth: Int, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    guard let paths = device.arrayMembers else { return nil }
    var members: [MDMember] = []
    // A member may be replaced; what the array is stays.
    let onTheWay = finder.pins
    for path in paths {
      guard let below = try StackDevice.find(path) else { continue }
      // What cannot be read is as good as missing.
      guard let layer = try? finder.layer(of: below, depth: depth + 1) else { continue }
      do throws(StackError) {
        if let member = try MDMember.find(on: layer) { members.append(member) }
      } catch {
        guard error.code == .medium else { throw error }
      }
    }
    finder.pins = onTheWay
    guard let array = try finder.array(of: members) else {
      throw StackError(
        .unsupported,
        "\(device.path) is an array whose metadata floe does not read (it reads md's own, 0.90 and "
          + "1.x)")
    }
    return array
  }

  static func layer(
    on layer: Layer, _ finder: inout StackFinder
  ) throws(StackError) -> Layer? {
    guard let member = try MDMember.find(on: layer) else { return nil }
    if member.mayBelongToAPartition, try BootRecords.isPartitioned(layer) { return nil }
    return try finder.array(of: finder.members(beside: member))
  }
}

extension StackFinder {
  /// Whether a layer belongs to no md array for certain: what cannot be read may.
  static func isNoMember(_ layer: Layer) -> Bool {
    do {
      return try MDMember.find(on: layer) == nil
    } catch {
      return false
    }
  }

  /// The array that members make; `nil` when there are none.
  fileprivate mutating func array(of members: [MDMember]) throws(StackError) -> Layer? {
    guard let first = members.first, let array = try MDArray(members) else { return nil }
    let layer = Layer(try array.map())
    let pin = "md \(first.array)"
    if !pins.contains(pin) { pins.append(pin) }
    return layer
  }

  /// A member, and those of its array on other partitions of the disks that were met, at the
  /// places that the user named, or on any block device of this host. For a disk image no
  /// other is looked at unless it is named.
  fileprivate mutating func members(beside known: MDMember) throws(StackError) -> [MDMember] {
    var layers: [Layer] = []
    for table in tables {
      for part in table.partitions where !part.isExtended {
        if let map = try? table.map(part) { layers.append(Layer(map)) }
      }
    }
    // What is looked at beside the way up is no part of it.
    let onTheWay = pins
    defer { pins = onTheWay }
    for place in place.physicalVolumes { layers.append(try named(place)) }
    if place.physicalVolumes.isEmpty, !known.layer.isInFile {
      for path in sysfs.blockDevices() where sysfs.multipathMap(overDevice: path) == nil {
        guard DeviceProbe.answers(path), let layer = try? Self.medium(path) else { continue }
        layers.append(layer)
      }
    }
    var members = [known]
    for layer in layers {
      guard let member = try? MDMember.find(on: layer), member.array == known.array,
        !Self.isKnown(layer, among: members.map(\.layer))
      else { continue }
      members.append(member)
    }
    return members
  }
}
