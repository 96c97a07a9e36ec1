import ImageReader
import LinuxIO

extension StackFinder {
  /// A logical volume: the one that is selected, or the only one.
  ///
  /// - Parameters:
  ///   - group: its group's name; `nil` for the group of `known`, or that of `id`.
  ///   - id: the volume's identifier, where the kernel tells it.
  ///   - known: a physical volume that was met on the way up.
  mutating func logicalVolume(
    of group: String?, id: (group: String, volume: String)? = nil, on known: [PhysicalVolume]
  ) throws(StackError) -> Layer {
    let volumes = try physicalVolumes(beside: known)
    let groups = FoundVolumeGroup.groups(of: volumes).filter { found in
      known.allSatisfy { known in found.group.members.contains { $0.id == known.id } }
    }
    if let id {
      // A group that was cloned and imported keeps its volumes' own identifiers.
      for found in groups where "\(found.group.id)" == id.group {
        if let volume = found.group.logicalVolumes.first(where: { "\($0.id)" == id.volume }) {
          return try map(volume, of: found)
        }
      }
      throw StackError("the logical volume \(id.volume) is on no physical volume that was found")
    }
    let met = known.isEmpty ? nil : groups.first.map { "\($0.group.id)" }
    let found = try FoundVolumeGroup.choose(group ?? met, of: volumes)
    let name = selectors.popFirst().map { selector in
      // "vg/root" names the group once more.
      let prefix = found.group.name + "/"
      return selector.hasPrefix(prefix) ? String(selector.dropFirst(prefix.count)) : selector
    }
    return try map(try found.choose(name), of: found)
  }

  private mutating func map(
    _ volume: LogicalVolume, of found: FoundVolumeGroup
  ) throws(StackError) -> Layer {
    pins.append("\(found.group.id) \(volume.id)")
    for member in found.behind {
      notes.append(
        "the LVM2 metadata on \(member.layer.title) are older than elsewhere in the volume group "
          + "\(found.group.name): a commit did not reach it")
    }
    return Layer(try found.map(volume))
  }

  /// Physical volumes: the one that was met, and those at the places that the user
  /// named, or on any block device of this host. A disk image is looked at alone.
  private mutating func physicalVolumes(
    beside known: [PhysicalVolume]
  ) throws(StackError) -> [PhysicalVolume] {
    var volumes = known
    var paths = place.physicalVolumes
    if paths.isEmpty {
      let isInFile = known.contains { $0.layer.isInFile }
      paths = isInFile ? [] : sysfs.blockDevices()
    }
    for path in paths {
      let isNamed = !place.physicalVolumes.isEmpty
      // Logical volumes may belong to guests, whose bytes say what they like.
      if !isNamed, (try? StackDevice.find(path))?.logicalVolume != nil { continue }
      // Its multipath map shows the same bytes.
      if !isNamed, sysfs.multipathMap(overDevice: path) != nil { continue }
      guard isNamed || DeviceProbe.answers(path) else {
        let note = "\(path) does not answer and was left out of the search"
        if !notes.contains(note) { notes.append(note) }
        continue
      }
      do throws(StackError) {
        let layer = try Self.medium(path)
        guard let volume = try PhysicalVolume.find(on: layer) else { continue }
        // A partition that was met on its disk is a device of its own as well.
        let places = [layer.base, try? Self.layer(ofDevice: path).base].compactMap { $0 }
        let isKnown = known.contains { known in
          places.contains { known.layer.base?.isSame(as: $0) ?? false }
        }
        if !isKnown { volumes.append(volume) }
      } catch {
        // Of devices that nobody named, those that cannot be read are not ours.
        if isNamed { throw error }
      }
    }
    return volumes
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
