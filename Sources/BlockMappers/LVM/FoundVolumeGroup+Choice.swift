package import DataSets
import FrozenImage
import VolumeLayers

extension FoundVolumeGroup {
  /// The group of a name or an identifier, or the only one.
  ///
  /// - Throws: `StackError` when there is no such group, or more than one.
  package static func choose(
    _ name: String?, of volumes: [PhysicalVolume]
  ) throws(StackError) -> FoundVolumeGroup {
    let groups = groups(of: volumes)
    let matches = groups.filter { found in
      name == nil || found.group.name == name || found.group.id.description == name
    }
    if matches.count == 1, let match = matches.first { return match }
    guard !groups.isEmpty else {
      if let volume = volumes.first(where: { $0.isUsed && !$0.hasAreaInUse }) {
        throw StackError(
          .notFound,
          "\(volume.layer.title) belongs to a volume group whose metadata lie on another physical "
            + "volume, which was not found")
      }
      throw StackError(.notFound, "no volume group was found")
    }
    let listed = matches.isEmpty ? groups : matches
    let list = listed.map { "\($0.group.name) (\($0.group.id))" }.joined(separator: ", ")
    guard !matches.isEmpty else {
      throw StackError(.notFound, "there is no volume group \(name ?? ""); there are: \(list)")
    }
    guard name == nil else {
      throw StackError(
        .invalid, "which volume group \(name ?? "") is meant? Name it by its identifier: \(list)")
    }
    throw StackError(.invalid, "which volume group is meant? There are: \(list)")
  }

  /// The logical volume of a name, or the only one.
  ///
  /// - Throws: `StackError`, with the names and sizes of those that there are, when there
  ///   is no such volume, or more than one.
  package func choose(_ name: String?) throws(StackError) -> LogicalVolume {
    let volumes = logicalVolumes
    let matches = volumes.filter { name == nil || $0.name == name }
    if matches.count == 1, let match = matches.first { return match }
    guard !volumes.isEmpty else {
      throw StackError(.notFound, "the volume group \(group.name) has no logical volumes")
    }
    let list = volumes.map { "\($0.name) (\($0.size) bytes)" }.joined(separator: ", ")
    if let name {
      if group.logicalVolume(name) != nil {
        throw StackError(
          .invalid,
          "\(group.name)/\(name) is an internal part of a logical volume; there are: \(list)")
      }
      throw StackError(
        .notFound, "there is no logical volume \(group.name)/\(name); there are: \(list)")
    }
    throw StackError(.invalid, "which logical volume of \(group.name) is meant? There are: \(list)")
  }
}
