import DataSets
import FrozenImage

/// What dm-raid keeps of an array in the metadata volume of each leg (`struct
/// dm_raid_superblock`, drivers/md/dm-raid.c): one sector, little-endian.
struct RaidSuperblock: Hashable, Sendable {
  /// Bytes that it is read and watched in.
  static let length = 512

  let members: Int
  /// The leg's place.
  let place: Int
  let state: RaidMemberState
  let level: Int
  let layout: UInt32
  let stripeSectors: UInt32
  /// Why the array cannot be mapped whatever its state; `nil` when it can.
  let obstacle: String?

  private static let magic: UInt32 = 0x6452_6D44
  /// Extents of a superblock's fields beyond those of the first version
  /// (`FEATURE_FLAG_SUPPORTS_V190`).
  private static let reshapeFeature: UInt32 = 1
  /// `MaxSector`: there is nothing left to bring up to date.
  private static let done = UInt64.max

  /// - Returns: `nil` when there is none.
  init?(_ bytes: [UInt8]) {
    let found = bytes.withUnsafeBytes { Self(fields: $0) }
    guard let found else { return nil }
    self = found
  }

  private init?(fields: UnsafeRawBufferPointer) {
    guard fields.number(at: 0) == Self.magic, let features: UInt32 = fields.number(at: 4),
      let members: UInt32 = fields.number(at: 8), let place: UInt32 = fields.number(at: 12),
      let events: UInt64 = fields.number(at: 16), let recovered: UInt64 = fields.number(at: 32),
      let synced: UInt64 = fields.number(at: 40), let level: Int32 = fields.number(at: 48),
      let layout: UInt32 = fields.number(at: 52), let stripe: UInt32 = fields.number(at: 56),
      place < members, members <= RaidGeometry.maximumMembers
    else { return nil }
    let failed: UInt64 = fields.number(at: 24) ?? .max
    self.members = Int(members)
    self.place = Int(place)
    self.level = Int(level)
    self.layout = layout
    stripeSectors = stripe
    state = RaidMemberState(
      events: events, failed: Set((0..<64).filter { failed >> UInt64($0) & 1 == 1 }),
      isRecovered: recovered == Self.done, isSynced: synced == Self.done)
    obstacle = Self.obstacle(fields, features)
  }

  private static func obstacle(
    _ fields: UnsafeRawBufferPointer, _ features: UInt32
  ) -> String? {
    guard features & reshapeFeature != 0 else {
      return features == 0 ? nil : "has features \(features) that floe does not know"
    }
    let flags: UInt32? = fields.number(at: 60)
    let delta: UInt32? = fields.number(at: 84)
    let (offset, newOffset): (UInt64?, UInt64?) = (
      fields.number(at: 96), fields.number(at: 104)
    )
    let changes = [48, 52, 56].contains { place in
      let now: UInt32? = fields.number(at: place)
      // new_level, new_layout, new_stripe_sectors
      return now != fields.number(at: place == 48 ? 72 : place == 52 ? 76 : 80)
    }
    let (incompatible, beyond): (UInt32?, UInt32?) = (
      fields.number(at: 144), fields.number(at: 4)
    )
    if features & ~reshapeFeature != 0 || incompatible != 0 {
      return "has features that floe does not know (\(beyond ?? 0), \(incompatible ?? 0))"
    }
    if flags != 0 || delta != 0 || changes { return "is being reshaped" }
    if offset != 0 || newOffset != 0 { return "was reshaped, so its data begin elsewhere" }
    return nil
  }

  /// md's level and layout of lvm2's types of raid (`raid_types` in dm-raid.c); the layout is
  /// `nil` where the type alone does not tell it. A raid0 has no copies and no parity.
  static func layout(ofType type: String) -> (level: Int, layout: UInt32?)? {
    switch type {
    case "raid1": (1, nil)
    case "raid10", "raid10_near": (10, nil)
    // Its parity is on the first leg.
    case "raid4", "raid5_0": (5, 4)
    case "raid5", "raid5_ls": (5, 2)
    case "raid5_la": (5, 0)
    case "raid5_ra": (5, 1)
    case "raid5_rs": (5, 3)
    case "raid5_n": (5, 5)
    case "raid6", "raid6_zr": (6, 8)
    case "raid6_nr": (6, 9)
    case "raid6_nc": (6, 10)
    case "raid6_n_6": (6, 5)
    case "raid6_la_6": (6, 16)
    case "raid6_ra_6": (6, 17)
    case "raid6_ls_6": (6, 18)
    case "raid6_rs_6": (6, 19)
    case "raid6_0_6": (6, 20)
    default: nil
    }
  }
}
