import DataSets
import FrozenImage
import VolumeLayers

/// How md deals the bytes of an array to its members. dm-raid is the same driver below
/// device-mapper (drivers/md in the kernel's sources).
struct RaidGeometry: Hashable, Sendable {
  enum Level: Hashable, Sendable {
    /// raid0 with members of one size.
    case striped
    case mirrored
    /// raid10 in its layout "near": the copies of an element lie on neighbouring members.
    case near(copies: Int)
    case parity(RaidParity)
  }

  let level: Level
  /// Members that the array has when none is missing.
  let members: Int
  /// Bytes of an element; without meaning for a mirror.
  let chunk: UInt64

  /// Most members of an array that is mapped: dm-raid's and md's formats count up to 253 and
  /// 384; lvm2 stops at 64 (`DEFAULT_RAID_MAX_IMAGES`).
  static let maximumMembers = 64

  /// - Parameters:
  ///   - level: md's number of it.
  ///   - layout: md's number of it, which each level reads in its own way.
  ///   - chunkSectors: sectors of 512 bytes of an element.
  ///   - title: of the array, for messages.
  /// - Throws: `StackError` when floe does not know how such an array is laid out.
  init(
    level: Int, layout: UInt32, members: Int, chunkSectors: UInt32, title: String
  ) throws(StackError) {
    guard (1...Self.maximumMembers).contains(members) else {
      throw StackError(.unsupported, "the \(title) has \(members) members")
    }
    self.members = members
    chunk = UInt64(chunkSectors) * 512
    switch level {
    case 1: self.level = .mirrored
    case 0: self.level = .striped
    case 10:
      // Bits 0…7 near copies, 8…15 far copies, above them kinds of far layouts (raid10.c).
      let copies = Int(layout & 0xFF)
      guard layout >> 8 == 1, (1...members).contains(copies) else {
        throw StackError(
          .unsupported,
          "the \(title) is a raid10 whose copies do not lie near each other (layout "
            + "\(String(layout, radix: 16)) in hexadecimal), which floe cannot map")
      }
      self.level = .near(copies: copies)
    case 4, 5, 6:
      guard let parity = RaidParity(level: level, layout: layout),
        members > parity.parityCount
      else {
        throw StackError(
          .unsupported,
          "the \(title) is a raid\(level) of layout \(layout), which floe cannot map")
      }
      self.level = .parity(parity)
    default:
      throw StackError(.unsupported, "the \(title) is a raid of level \(level)")
    }
    guard level == 1 || chunk > 0 else {
      throw StackError(.malformed, "the \(title) has elements of no bytes")
    }
  }

  /// Whether bytes are kept more than once.
  var isMirrored: Bool {
    switch level {
    case .mirrored: members > 1
    case .near(let copies): copies > 1
    case .striped, .parity: false
    }
  }

  /// Bytes of the array.
  ///
  /// - Parameter memberSize: bytes of each member; what is left of it behind its last whole
  ///   element is not used.
  func size(memberSize: UInt64) -> UInt64? {
    if level == .mirrored { return memberSize }
    let rows = memberSize / chunk
    let (elements, overflow) = rows.multipliedReportingOverflow(by: UInt64(members))
    guard !overflow else { return nil }
    let dealt: UInt64 =
      switch level {
      case .near(let copies): elements / UInt64(copies)
      case .parity(let parity): rows * UInt64(members - parity.parityCount)
      case .striped, .mirrored: elements
      }
    let (size, tooLarge) = dealt.multipliedReportingOverflow(by: chunk)
    return tooLarge ? nil : size
  }

  /// Where the array's bytes lie.
  ///
  /// - Parameter starts: where each member's data begin; `nil` for one that must not be
  ///   read. Of copies, those are left out.
  /// - Returns: `nil` when bytes of the array are on none of the others.
  func placement(of starts: [LayerAddress?]) -> Placement<LayerAddress>? {
    guard starts.count == members else { return nil }
    switch level {
    case .mirrored:
      let copies = starts.compactMap { $0 }
      return Placement(
        columns: 1, copies: copies.count, stripeLength: .max, targets: copies, copyState: .inSync)
    case .striped:
      return placement(of: starts, columns: members, rows: 1) { [(0, $0)] }
    case .near(let copies):
      // Copies follow each other from member to member, and from row to row.
      let divisor = Self.greatestCommonDivisor(members, copies)
      return placement(of: starts, columns: members / divisor, rows: copies / divisor) { column in
        (column * copies..<(column + 1) * copies).map { ($0 / members, $0 % members) }
      }
    case .parity(let parity):
      let dataMembers = members - parity.parityCount
      let rows = parity.period(members: members)
      return placement(of: starts, columns: dataMembers * rows, rows: rows) { column in
        let row = column / dataMembers
        return [(row, parity.member(of: column % dataMembers, row: row, members: members))]
      }
    }
  }

  /// - Parameters:
  ///   - columns: elements of the array after which its layout repeats itself.
  ///   - rows: elements of a member after which it does.
  ///   - places: row and member of each copy of a column's first element.
  private func placement(
    of starts: [LayerAddress?], columns: Int, rows: Int, places: (Int) -> [(row: Int, member: Int)]
  ) -> Placement<LayerAddress>? {
    var dealt: [[LayerAddress]] = []
    for column in 0..<columns {
      let copies = places(column).compactMap { place -> LayerAddress? in
        guard starts.indices.contains(place.member), let start = starts[place.member] else {
          return nil
        }
        let (offset, overflow) = start.offset.addingReportingOverflow(UInt64(place.row) * chunk)
        return overflow ? nil : LayerAddress(layer: start.layer, offset: offset)
      }
      dealt.append(copies)
    }
    // Every column has as many copies as the others.
    guard let copies = dealt.map(\.count).min(), copies > 0 else { return nil }
    return Placement(
      columns: columns, copies: copies, stripeLength: chunk, columnStep: UInt64(rows) * chunk,
      targets: dealt.flatMap { $0.prefix(copies) }, copyState: .inSync)
  }

  private static func greatestCommonDivisor(_ one: Int, _ other: Int) -> Int {
    other == 0 ? one : greatestCommonDivisor(other, one % other)
  }
}
