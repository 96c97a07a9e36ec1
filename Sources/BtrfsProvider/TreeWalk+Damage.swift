import DataSets
import FrozenImage
import LogicalRepresentation

/// What of the tree cannot be read, or does not fit together.
extension TreeWalk {
  /// Passes over a gap, and notes what the open inode lost in it.
  ///
  /// - Returns: where the tree goes on; `nil` at its end.
  /// - Throws: `TreeDamage` when it is not known yet what there is.
  mutating func passGap(at key: TreeKey, _ failure: BtrfsError) throws -> TreeKey? {
    guard let salvage else { throw TreeDamage() }
    let finder = try GapFinder(in: volume.subvolume, id: subvolumeID)
    let gap = try finder.gap(from: key, failure: failure)
    // What was lost since would be missing without a word.
    guard salvage.gaps.contains(gap) else { throw TreeDamage() }
    if let open { try noteLoss(in: gap, of: open.attributes) }
    return gap.end
  }

  private mutating func noteLoss(in gap: TreeGap, of attributes: NodeAttributes) throws {
    let inode = attributes.inode
    let reason = reason(gap)
    if gap.offsets(ofInode: inode, type: ItemType.extendedAttribute) != nil {
      try writer.markUnreadable(.extendedAttributes, reason: reason)
    }
    switch attributes.type {
    case .directory:
      if gap.offsets(ofInode: inode, type: ItemType.directoryIndex) != nil {
        try writer.markUnreadable(.content, reason: reason)
      }
    case .regular, .symbolicLink:
      guard let offsets = gap.offsets(ofInode: inode, type: ItemType.fileExtent),
        offsets.lowerBound < attributes.size
      else { return }
      let end = offsets.upperBound == .max ? .max : offsets.upperBound + 1
      try writeUnreadable(offsets.lowerBound..<end, reason, of: attributes)
    default: break
    }
  }

  private func reason(_ gap: TreeGap) -> String {
    "a leaf of the tree of \(volume.subvolume.path) cannot be read, \(gap)"
  }

  /// Writes the inodes before a number of which there is nothing but an entry.
  mutating func writeLost(before inode: UInt64) throws {
    guard let salvage else { return }
    while lostWritten < salvage.lost.count, salvage.lost[lostWritten].inode < inode {
      let lost = salvage.lost[lostWritten]
      let why =
        lost.gap.map { reason($0) }
        ?? "\(volume.subvolume.path) has no inode \(lost.inode) that can be read, to which an "
        + "entry leads"
      try writer.addUnreadableNode(inode: lost.inode, type: lost.type, reason: why)
      lostWritten += 1
      progress.nodes += 1
    }
  }

  /// Adds an entry unless it leads to a directory that lies elsewhere.
  mutating func write(_ entry: DirectoryItem, to directory: NodeAttributes) throws {
    links.note(entryTo: entry.target)
    if let salvage, !salvage.mayLead(from: directory.inode, to: entry.target) {
      return try writer.markUnreadable(
        .content,
        reason: "an entry of it leads to directory \(entry.target), which lies elsewhere")
    }
    // What the inode says counts, as for the kernel; an entry may be of a type that is not
    // known here.
    try writer.addEntry(name: entry.name, inode: entry.target, type: entry.type ?? .regular)
  }
}

/// Whether every inode has as many entries as it has links: a sum that is zero then, and
/// else hardly ever.
struct LinkBalance {
  private var sum: UInt64 = 0

  mutating func note(inode: UInt64, links: UInt32) { sum &+= Self.mix(inode) &* UInt64(links) }

  mutating func note(entryTo inode: UInt64) { sum &-= Self.mix(inode) }

  /// The top directory has a link and no entry.
  var isEven: Bool { sum == Self.mix(InodeNumbers.root) }

  /// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
  private static func mix(_ number: UInt64) -> UInt64 {
    var value = number &+ 0x9E37_79B9_7F4A_7C15
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
