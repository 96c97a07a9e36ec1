extension FoundVolumeGroup {
  /// Whether a volume lies on raids, of which the kernel of the host that has them active may
  /// know more than their superblocks tell.
  package func liesOnRaid(_ volume: LogicalVolume) -> Bool { !group.raids(under: volume).isEmpty }

  /// What this host's kernel says now of the raids that a volume lies on; empty where it lies on
  /// none, or another host commits to the group. Of one that is not active, or of which the
  /// kernel does not tell, no legs.
  package func raidsNow(under volume: LogicalVolume) -> [String: [Bool]] {
    guard hasArchive else { return [:] }
    var raids: [String: [Bool]] = [:]
    for raid in group.raids(under: volume) {
      let legs = try? activeRaids.legsInSync(of: raid, in: group)
      raids["\(raid.id)"] = legs ?? []
    }
    return raids
  }
}

extension VolumeGroup {
  /// The raids that bytes of a volume lie on, through whatever is between.
  func raids(under volume: LogicalVolume) -> [LogicalVolume] {
    var raids: [LogicalVolume] = []
    var seen: Set<String> = [volume.name]
    var open = [volume]
    while let next = open.popLast() {
      var names: [String] = []
      if let snapshot = snapshot(storedIn: next) { names.append(snapshot.origin) }
      for segment in next.segments {
        if case .raid = segment.layout, raids.last != next { raids.append(next) }
        names += self.names(below: segment)
      }
      for name in names where seen.insert(name).inserted {
        if let part = logicalVolume(name) { open.append(part) }
      }
    }
    return raids
  }

  /// The volumes that a segment lies on.
  private func names(below segment: LogicalVolume.Segment) -> [String] {
    func volumes(_ columns: [LogicalVolume.Column]) -> [String] {
      columns.map(\.volume).filter { !segment.liesOnMembers || member($0) == nil }
    }
    return switch segment.layout {
    case .striped(let columns, _), .mirrored(let columns), .moving(let columns, _):
      volumes(columns)
    case .raid(let raid): raid.images + raid.metadata
    case .thin(let thin): [thin.pool] + [thin.externalOrigin].compactMap { $0 }
    case .thinPool(let pool): [pool.data, pool.metadata]
    case .snapshot, .other: []
    }
  }
}
