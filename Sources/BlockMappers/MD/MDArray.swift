package import DataSets
import FrozenImage
package import VolumeLayers

/// A member of an md array, as it was found.
package struct MDMember: Sendable {
  /// The layer that the superblock lies on.
  package let layer: Layer
  let superblock: MDSuperblock

  /// - Returns: `nil` when the layer is no member of an array.
  /// - Throws: `StackError` when the layer cannot be read.
  package static func find(on layer: Layer) throws(StackError) -> MDMember? {
    try MDSuperblock.find(on: layer).map { MDMember(layer: layer, superblock: $0) }
  }

  /// Whether nothing tells that the superblock belongs to this layer, rather than to a
  /// partition at its end.
  package var mayBelongToAPartition: Bool { superblock.isVersion0 }

  /// The UUID of the array that it belongs to, as mdadm writes it.
  package var array: String { superblock.arrayText }
}

/// An md array, as the superblocks of its members describe it (Documentation/admin-guide/md.rst
/// in the kernel's sources; md(4)).
package struct MDArray: Sendable {
  /// For messages.
  private let title: String
  private let newest: MDSuperblock
  /// All that were found.
  private let found: [MDMember]
  /// By their places.
  private let members: [MDMember?]

  /// Levels of arrays that are neither mirrored nor have parity.
  private static let linear = -1

  /// - Parameter found: members of one array.
  /// - Returns: `nil` when there are none.
  /// - Throws: `StackError` when they do not make one array.
  package init?(_ found: [MDMember]) throws(StackError) {
    guard let newest = found.max(by: { $0.superblock.state.events < $1.superblock.state.events })
    else { return nil }
    self.newest = newest.superblock
    self.found = found
    title =
      "md array \(newest.superblock.name.isEmpty ? newest.array : newest.superblock.name.visible)"
    guard (1...RaidGeometry.maximumMembers).contains(newest.superblock.members) else {
      throw StackError(.unsupported, "the \(title) has \(newest.superblock.members) members")
    }
    let newestEvents = newest.superblock.state.events
    var members = [MDMember?](repeating: nil, count: newest.superblock.members)
    for member in found {
      guard let place = member.superblock.place, members.indices.contains(place) else { continue }
      // Who was replaced, and kept its superblock, is older.
      if let other = members[place] {
        let (events, others) = (member.superblock.state.events, other.superblock.state.events)
        guard events != others || member.superblock.state.isOutOfDate(newest: newestEvents) else {
          throw StackError(
            .malformed,
            "member \(place) of the \(title) appears twice, as \(other.layer.title) and "
              + member.layer.title)
        }
        if events <= others { continue }
      }
      members[place] = member
    }
    self.members = members
  }

  /// Maps the array to its members: of copies, to those that the superblocks prove in sync.
  ///
  /// - Throws: `StackError` when nothing proves where the data are, or floe does not know the
  ///   layout.
  package func map() throws(StackError) -> LayerMap {
    // A member of before tells of the array as it was then.
    if let obstacle = found.lazy.filter(isCurrent).compactMap({ $0.superblock.obstacle }).first {
      throw StackError(.unsupported, "the \(title) \(obstacle), so floe cannot map it")
    }
    let isOne = members.lazy.compactMap { $0 }.filter(isCurrent).map(\.superblock).allSatisfy {
      $0.level == newest.level && $0.layout == newest.layout
        && $0.chunkSectors == newest.chunkSectors && $0.members == newest.members
    }
    guard isOne else {
      throw StackError(
        .malformed, "the superblocks of the \(title) are at odds with each other")
    }
    let geometry: RaidGeometry? =
      newest.level == Self.linear
      ? nil
      : try RaidGeometry(
        level: newest.level, layout: newest.layout, members: members.count,
        chunkSectors: newest.chunkSectors, title: title)
    let states = RaidMembers(
      title: title, noun: "member", states: members.map { $0?.superblock.state })
    let readable = try states.readable(needsSync: geometry?.isMirrored ?? false)
    let lower = found.map(\.layer)
    let starts = members.enumerated().map { place, member -> LayerAddress? in
      guard let member, readable[place],
        let index = lower.firstIndex(where: { $0 === member.layer })
      else { return nil }
      return LayerAddress(layer: index, offset: member.superblock.dataOffset)
    }
    let runs: [LayerRun]
    if let geometry {
      runs = try self.runs(geometry, starts, states)
    } else {
      runs = try linearRuns(starts, states)
    }
    return try LayerMap(
      title: title, size: runs.last?.range.upperBound ?? 0, lower: lower, runs: runs,
      identity: found.enumerated().map { $1.superblock.identity(as: $0) },
      witness: found.enumerated().map { $1.superblock.witness(as: $0) }, moves: true,
      sectorSize: lower.compactMap(\.sectorSize).max())
  }

  /// Whether a member was in the array until now.
  private func isCurrent(_ member: MDMember) -> Bool {
    !member.superblock.state.isOutOfDate(newest: newest.state.events)
  }

  private func runs(
    _ geometry: RaidGeometry, _ starts: [LayerAddress?], _ states: RaidMembers
  ) throws(StackError) -> [LayerRun] {
    let sizes = members.compactMap { $0 }.filter(isCurrent).map(\.superblock.dataSize)
    var memberSize = newest.usedSize
    if geometry.level == .striped {
      // Members of several sizes are striped in zones.
      let whole = Set(sizes.map { $0 / geometry.chunk })
      guard whole.count == 1, let size = sizes.first else {
        throw StackError(
          .unsupported,
          "the \(title) is a raid0 whose members are not of one size, which floe cannot map")
      }
      memberSize = size
    }
    guard let size = geometry.size(memberSize: memberSize), size > 0,
      memberSize <= sizes.min() ?? 0
    else { throw StackError(.malformed, "the \(title) is larger than its members, or empty") }
    guard let placement = geometry.placement(of: starts) else {
      throw incomplete(states)
    }
    return [LayerRun(0..<size, .below(placement))]
  }

  private func incomplete(_ states: RaidMembers) -> StackError {
    StackError(
      .medium,
      "the \(title) is not complete, and only the kernel can work out what is missing: "
        + states.problems)
  }

  /// One member after the other; each is cut to whole elements where there are some.
  private func linearRuns(
    _ starts: [LayerAddress?], _ states: RaidMembers
  ) throws(StackError) -> [LayerRun] {
    let element = max(UInt64(newest.chunkSectors) * MDSuperblock.sector, 1)
    var runs: [LayerRun] = []
    var position: UInt64 = 0
    for (place, start) in starts.enumerated() {
      guard let start, let member = members[place] else { throw incomplete(states) }
      let length = member.superblock.dataSize / element * element
      let (end, overflow) = position.addingReportingOverflow(length)
      guard length > 0, !overflow else {
        throw StackError(.malformed, "member \(place) of the \(title) has no bytes")
      }
      runs.append(.linear(position..<end, at: start))
      position = end
    }
    return runs
  }
}

extension String {
  /// Without what would make a terminal do something.
  fileprivate var visible: String {
    String(unicodeScalars.map { ("!"..."~").contains($0) ? Character($0) : "?" })
  }
}
