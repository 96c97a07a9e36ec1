/// A volume group as a metadata text describes it: the volumes that it is made of, and
/// the volumes that are made of it. Sizes are bytes.
package struct VolumeGroup: Hashable, Sendable {
  /// As `vgs` shows it; another group may have the same.
  package let name: String
  package let id: VolumeIdentifier
  /// Grows by one with every commit.
  let sequenceNumber: UInt64
  let status: [String]
  /// Bytes of a physical and of a logical extent.
  let extentSize: UInt64
  /// In the text's order; segments point to them by their keys.
  package let members: [Member]
  /// In the text's order, hidden ones too.
  package let logicalVolumes: [LogicalVolume]
  /// Where in `members` a key is, and in `logicalVolumes` a name.
  let memberIndexes: [String: Int]
  let logicalVolumeIndexes: [String: Int]

  /// A physical volume of the group.
  package struct Member: Hashable, Sendable {
    /// What segments call it: "pv0".
    let key: String
    package let id: VolumeIdentifier
    /// Where the production host saw it last.
    let deviceHint: String
    let flags: [String]
    /// Where the first extent begins, bytes.
    let start: UInt64
    let extentCount: UInt64

    /// For messages. Where nobody saw it, lvm2 says so in brackets.
    var title: String {
      deviceHint.hasPrefix("/") ? "\(id) (last seen as \(deviceHint))" : "\(id)"
    }
  }

  /// The member that segments call so.
  func member(_ key: String) -> Member? { memberIndexes[key].map { members[$0] } }

  func logicalVolume(_ name: String) -> LogicalVolume? {
    logicalVolumeIndexes[name].map { logicalVolumes[$0] }
  }

  var snapshots: [LogicalVolume.Snapshot] {
    logicalVolumes.flatMap(\.segments).compactMap { segment in
      if case .snapshot(let snapshot) = segment.layout { snapshot } else { nil }
    }
  }
}

/// A logical volume as a metadata text describes it.
package struct LogicalVolume: Hashable, Sendable {
  let name: String
  package let id: VolumeIdentifier
  let status: [String]
  let extentCount: UInt64
  /// Bytes.
  let size: UInt64
  /// In ascending order, without gap, from extent 0 to the last.
  let segments: [Segment]

  /// Not an internal part of another one.
  var isVisible: Bool { status.contains("VISIBLE") }

  /// A thin snapshot that its origin takes back.
  var isMergingThin: Bool {
    if case .thin(let thin)? = segments.first?.layout { thin.isMerging } else { false }
  }

  /// A run of extents that are laid out in one way.
  struct Segment: Hashable, Sendable {
    /// "segment1"
    let key: String
    /// "striped", "thin-pool"; with flags after a plus sign where it has any.
    let type: String
    /// Extents of the logical volume.
    let extents: Range<UInt64>
    let layout: Layout

    /// Whether its columns may lie on physical volumes: those of raid are logical ones.
    var liesOnMembers: Bool { !type.hasPrefix("raid") }
  }

  enum Layout: Hashable, Sendable {
    /// Stripe elements of so many bytes, dealt to the columns in turn; one column is a
    /// linear segment. The extents divide evenly among the columns.
    case striped([Column], elementSize: UInt64)
    /// Every column holds all extents, or is about to: a mirror. Which of them do, only the
    /// kernel knows.
    case mirrored([Column])
    /// Pvmove copies the extents from the first column to the second, and has done so with so
    /// many of them.
    case moving([Column], moved: UInt64)
    case raid(Raid)
    case snapshot(Snapshot)
    case thin(Thin)
    case thinPool(ThinPool)
    /// A type that floe does not map.
    case other
  }

  /// Ties two logical volumes together; the one that has this layout is no more than that.
  struct Snapshot: Hashable, Sendable {
    let origin: String
    /// Keeps what the origin no longer has.
    let store: String
    /// The origin takes back what the store keeps.
    let isMerging: Bool
  }

  /// An array of md: pairs of logical volumes, one of which holds md's superblock.
  struct Raid: Hashable, Sendable {
    /// One for each image.
    let metadata: [String]
    let images: [String]

    var columns: [Column] { images.map { Column(volume: $0, extent: 0) } }
  }

  /// A volume whose chunks lie in a pool.
  struct Thin: Hashable, Sendable {
    /// The pool's name.
    let pool: String
    /// Its number in the pool.
    let device: UInt64
    /// A volume outside of the pool that holds what was never written.
    let externalOrigin: String?
    let isMerging: Bool
  }

  /// Where chunks of thin volumes lie.
  struct ThinPool: Hashable, Sendable {
    /// The volume that tells where.
    let metadata: String
    let data: String
    /// Bytes.
    let chunkSize: UInt64
  }

  /// Where a column of a segment begins.
  struct Column: Hashable, Sendable {
    /// A physical volume's key or, where none is called so, a logical volume's name.
    let volume: String
    /// The extent of that volume.
    let extent: UInt64
  }
}
