import DataSets
import FrozenImage

extension VolumeGroup {
  /// Bytes of the sectors that metadata counts in.
  private static let sector: UInt64 = 512
  /// Sectors: `pe_start` and sizes are 64-bit, yet nothing on Linux has 2^63 bytes.
  private static let sectors: ClosedRange<UInt64> = 0...(1 << 54)

  /// Takes a whole metadata text (lvm2 lib/format_text/import_vsn1.c, export.c).
  ///
  /// - Throws: `StackError`, which names the path of what is missing, out of range or at
  ///   odds with the rest.
  init(text: MetadataSection) throws(StackError) {
    guard try text.string("contents") == "Text Format Volume Group",
      try text.integer("version") == 1
    else { throw StackError(.malformed, "it is no text of a volume group in version 1") }
    guard let (name, section) = text.sections.first, text.sections.count == 1 else {
      throw StackError(.malformed, "it describes \(text.sections.count) volume groups")
    }
    try Self.checkName(name, of: section)
    self.name = name
    id = try section.identifier("id")
    sequenceNumber = try section.integer("seqno")
    status = try section.strings("status")
    if section.has("format"), try section.string("format") != "lvm2" {
      throw StackError(.malformed, "\(section.path(of: "format")) is not lvm2")
    }
    extentSize = try section.integer("extent_size", in: 1...UInt64(UInt32.max)) * Self.sector
    var members: [Member] = []
    for (key, member) in try section.section("physical_volumes").sections {
      members.append(try Member(key: key, text: member, extentSize: extentSize))
    }
    self.members = members
    guard Set(members.map(\.id)).count == members.count else {
      throw StackError(.malformed, "\(section.path)/physical_volumes holds one volume twice")
    }
    // A group without logical volumes has no such section.
    var volumes: [LogicalVolume] = []
    if section.has("logical_volumes") {
      for (name, volume) in try section.section("logical_volumes").sections {
        volumes.append(try LogicalVolume(name: name, text: volume, extentSize: extentSize))
      }
    }
    logicalVolumes = volumes
    // A key stands once in its section.
    memberIndexes = Dictionary(uniqueKeysWithValues: zip(members.map(\.key), members.indices))
    logicalVolumeIndexes = Dictionary(
      uniqueKeysWithValues: zip(volumes.map(\.name), volumes.indices))
  }

  /// Names have the characters that lvm2 allows (`validate_name`, lib/misc/lvm-string.c),
  /// so that they can stand in a message.
  fileprivate static func checkName(
    _ name: String, of section: MetadataSection
  ) throws(StackError) {
    let isAllowed = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"),
        UInt8(ascii: "."), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard isAllowed, (1...127).contains(name.utf8.count) else {
      throw StackError(.invalid, "\(section.path) is no name that a volume can have")
    }
  }
}

extension VolumeGroup.Member {
  fileprivate init(
    key: String, text: MetadataSection, extentSize: UInt64
  ) throws(StackError) {
    try VolumeGroup.checkName(key, of: text)
    self.key = key
    id = try text.identifier("id")
    let device = text.has("device") ? try text.string("device") : ""
    deviceHint = String(
      device.unicodeScalars.map { (" "..."~").contains($0) ? Character($0) : "?" })
    // A volume that is missing has its flag in the one or the other (lib/format_text/flags.c).
    flags = try text.strings("status") + (text.has("flags") ? text.strings("flags") : [])
    start = try text.integer("pe_start", in: VolumeGroup.sectors) * VolumeGroup.sector
    extentCount = try text.integer("pe_count")
    let (size, overflow) = extentCount.multipliedReportingOverflow(by: extentSize)
    guard !overflow, !start.addingReportingOverflow(size).overflow else {
      throw StackError(.malformed, "\(text.path) ends beyond any medium")
    }
  }
}

extension LogicalVolume {
  fileprivate init(
    name: String, text: MetadataSection, extentSize: UInt64
  ) throws(StackError) {
    try VolumeGroup.checkName(name, of: text)
    self.name = name
    id = try text.identifier("id")
    status = try text.strings("status")
    var segments: [Segment] = []
    for (key, segment) in text.sections {
      segments.append(try Segment(key: key, text: segment))
    }
    guard try text.integer("segment_count") == UInt64(segments.count) else {
      throw StackError(
        .malformed, "\(text.path(of: "segment_count")) is not the count of its segments")
    }
    segments.sort { $0.extents.lowerBound < $1.extents.lowerBound }
    var end: UInt64 = 0
    for segment in segments {
      guard segment.extents.lowerBound == end else {
        throw StackError(.malformed, "\(text.path) has a gap or an overlap at extent \(end)")
      }
      end = segment.extents.upperBound
    }
    self.segments = segments
    extentCount = end
    let (size, overflow) = end.multipliedReportingOverflow(by: extentSize)
    guard !overflow else { throw StackError(.malformed, "\(text.path) is larger than any medium") }
    self.size = size
  }
}

extension LogicalVolume.Segment {
  fileprivate init(key: String, text: MetadataSection) throws(StackError) {
    try VolumeGroup.checkName(key, of: text)
    self.key = key
    let start = try text.integer("start_extent")
    extents = start..<start + (try text.integer("extent_count", in: 1...UInt64(UInt32.max)))
    type = try text.string("type")
    try VolumeGroup.checkName(type, of: text)
    switch type {
    case "striped", "linear":
      layout = try .striped(text, columns: Self.columns(text, "stripes"), of: extents)
    case "raid0":
      layout = try .striped(text, columns: Self.images(text.strings("raid0_lvs")), of: extents)
    case "raid0_meta":
      // Pairs of what holds md's metadata and what holds the data.
      let pairs = try text.strings("raids")
      guard pairs.count.isMultiple(of: 2) else {
        throw StackError(.malformed, "\(text.path(of: "raids")) holds no pairs")
      }
      let images = stride(from: 1, to: pairs.count, by: 2).map { pairs[$0] }
      layout = try .striped(text, columns: Self.images(images), of: extents)
    case "snapshot":
      let isMerging = text.has("merging_store")
      layout = .snapshot(
        LogicalVolume.Snapshot(
          origin: try text.string("origin"),
          store: try text.string(isMerging ? "merging_store" : "cow_store"),
          isMerging: isMerging))
    case "mirror":
      let columns = try? Self.columns(text, "mirrors")
      // Only pvmove writes how far it has come (`_mirrored_text_export`).
      let moved = text.has("extents_moved") ? try text.integer("extents_moved") : nil
      layout =
        columns.map { columns in moved.map { .moving(columns, moved: $0) } ?? .mirrored(columns) }
        ?? .other
    case let type where RaidSuperblock.layout(ofType: type) != nil:
      layout = (try? LogicalVolume.Raid(text)).map { .raid($0) } ?? .other
    case "thin": layout = (try? LogicalVolume.Thin(text)).map { .thin($0) } ?? .other
    case "thin-pool": layout = (try? LogicalVolume.ThinPool(text)).map { .thinPool($0) } ?? .other
    default:
      layout = .other
    }
  }

  /// Pairs of a volume and the extent of it where the column begins.
  private static func columns(
    _ text: MetadataSection, _ key: String
  ) throws(StackError) -> [LogicalVolume.Column] {
    let values = try text.array(key)
    var columns: [LogicalVolume.Column] = []
    for index in stride(from: 0, to: values.count, by: 2) {
      guard index + 1 < values.count, case .string(let volume) = values[index],
        case .integer(let number) = values[index + 1], let extent = UInt32(exactly: number)
      else {
        throw StackError(.malformed, "\(text.path(of: key)) holds no pairs of volume and extent")
      }
      columns.append(LogicalVolume.Column(volume: volume, extent: UInt64(extent)))
    }
    return columns
  }

  private static func images(_ names: [String]) -> [LogicalVolume.Column] {
    names.map { LogicalVolume.Column(volume: $0, extent: 0) }
  }
}

extension LogicalVolume.Layout {
  /// Columns of a segment; lvm2 stops at 128 stripes and 64 images
  /// (`MAX_STRIPES`, `DEFAULT_RAID_MAX_IMAGES`).
  private static let maximumColumns = 256

  fileprivate static func striped(
    _ text: MetadataSection, columns: [LogicalVolume.Column], of extents: Range<UInt64>
  ) throws(StackError) -> Self {
    let count = UInt64(columns.count)
    guard try text.integer("stripe_count", in: 1...UInt64(UInt32.max)) == count else {
      throw StackError(
        .malformed, "\(text.path(of: "stripe_count")) is not the count of its stripes")
    }
    guard columns.count <= maximumColumns else {
      throw StackError(.malformed, "\(text.path) has more than \(maximumColumns) stripes")
    }
    guard (extents.upperBound - extents.lowerBound).isMultiple(of: count) else {
      throw StackError(.malformed, "\(text.path) does not divide evenly among \(count) stripes")
    }
    guard count > 1 else { return .striped(columns, elementSize: .max) }
    // lvm2 writes powers of two only; md's raid0 and dm-stripe take no others here.
    let size = try text.integer("stripe_size", in: 1...UInt64(UInt32.max))
    guard size.nonzeroBitCount == 1 else {
      throw StackError(.malformed, "\(text.path(of: "stripe_size")) is \(size), no power of two")
    }
    return .striped(columns, elementSize: size * 512)
  }
}

extension LogicalVolume.Raid {
  /// What a reshape leaves shifts the data, and md's own numbers with it.
  fileprivate init(_ text: MetadataSection) throws(StackError) {
    let pairs = try text.strings("raids")
    guard pairs.count.isMultiple(of: 2), !pairs.isEmpty, !text.has("data_offset"),
      !text.has("reshape_count")
    else { throw StackError(.unsupported, "\(text.path) is no plain raid") }
    metadata = stride(from: 0, to: pairs.count, by: 2).map { pairs[$0] }
    images = stride(from: 1, to: pairs.count, by: 2).map { pairs[$0] }
  }
}

extension LogicalVolume.Thin {
  fileprivate init(_ text: MetadataSection) throws(StackError) {
    pool = try text.string("thin_pool")
    // 24 bits (`DM_THIN_MAX_DEVICE_ID`, lvm2).
    device = try text.integer("device_id", in: 1...0xFF_FFFF)
    externalOrigin = text.has("external_origin") ? try text.string("external_origin") : nil
    isMerging = text.has("merge")
  }
}

extension LogicalVolume.ThinPool {
  fileprivate init(_ text: MetadataSection) throws(StackError) {
    metadata = try text.string("metadata")
    data = try text.string("pool")
    chunkSize = try text.integer("chunk_size", in: 128...2_097_152) * 512
  }
}
