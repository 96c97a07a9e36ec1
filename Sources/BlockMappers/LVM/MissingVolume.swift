import DataSets
package import FrozenImage
import VolumeLayers

extension FoundVolumeGroup {
  /// The members of the group that were not found, as media that can be looked for: each is
  /// known by the label that lvm2 writes on it, with its identifier.
  package var missing: [MediumDescription] {
    group.members.compactMap { member in
      volume(member) == nil ? PhysicalVolume.sought(member, extentSize: group.extentSize) : nil
    }
  }
}

extension PhysicalVolume {
  /// lvm2 writes the label to this sector, unless it is told otherwise (`pvcreate
  /// --labelsector`); one elsewhere is not found so.
  private static let usualSector = 1

  /// A physical volume that nobody has found yet, as the medium that it would be. It has no
  /// path: what the text has is of another host, and may be a guest's word.
  ///
  /// - Returns: `nil` where its size makes no sense.
  fileprivate static func sought(
    _ member: VolumeGroup.Member, extentSize: UInt64
  ) -> MediumDescription? {
    let (length, isLong) = member.extentCount.multipliedReportingOverflow(by: extentSize)
    let (size, isLonger) = member.start.addingReportingOverflow(length)
    guard !isLong, !isLonger else { return nil }
    let window = identity(ofLabelIn: usualSector)
    guard
      let probe = Probe(
        offset: window.offset, length: window.length, fragments: window.fragments)
    else { return nil }
    let bytes = identityBytes(of: member.id, sector: usualSector)
    return MediumDescription(
      id: MediumID(rawValue: UniqueIdentifier(naming: bytes)),
      label: "physical volume \(member.id)", size: size, path: "", hardwareID: "",
      identity: probe, identityBytes: bytes, witness: nil)
  }
}
