package import DataSets
import FrozenImage
package import VolumeLayers

/// A layer that carries an LVM2 label, with the metadata that lies on it.
///
/// The label is one of the first four sectors: `struct label_header` (lvm2
/// lib/label/label.h), then `struct pv_header`, two lists of `struct disk_locn` and
/// `struct pv_header_extension` (lib/format_text/layout.h), all little-endian.
package struct PhysicalVolume: Sendable {
  /// The layer that the label lies on.
  package let layer: Layer
  package let id: VolumeIdentifier
  /// The label says that a volume group uses it, be the metadata on it or elsewhere
  /// (`PV_EXT_USED`); `false` also where the label is too old to say.
  let isUsed: Bool
  /// None when it was made so (`pvcreate --metadatacopies 0`).
  let areas: [MetadataArea]
  /// Where the label lies, bytes from the start of the layer.
  private let labelOffset: UInt64

  private static let sectorLength = 512
  private static let scannedSectors = 4

  /// Offsets in the label's sector, bytes.
  private enum Field {
    static let id = (offset: 0, bytes: Array("LABELONE".utf8))
    static let sector = 8
    static let checksum = 16
    static let header = 20
    static let type = (offset: 24, bytes: Array("LVM2 001".utf8))
    static let labelLength = 32
    /// pv_uuid and device_size.
    static let headerLength = 40
    /// `struct disk_locn`: offset and size, 8 bytes each.
    static let locationLength = 16
  }

  /// lvm2 makes two at most; the label's sector has room for 26.
  private static let maximumAreas = 8

  /// - Returns: `nil` when the layer carries no LVM2 label.
  /// - Throws: `StackError` when it does and label or metadata are damaged, or the layer
  ///   cannot be read.
  package static func find(on layer: Layer) throws(StackError) -> PhysicalVolume? {
    let count = min(scannedSectors, Int(clamping: layer.size / UInt64(sectorLength)))
    guard count > 0 else { return nil }
    let bytes = try layer.bytes(at: 0, count: count * sectorLength)
    var damage: StackError?
    for number in 0..<count {
      let sector = Array(bytes[number * sectorLength..<(number + 1) * sectorLength])
      guard sector.starts(with: Field.id.bytes),
        sector[Field.type.offset...].starts(with: Field.type.bytes)
      else { continue }
      // As lvm2 does: a label that is damaged, or a copy of another sector's, is passed
      // over for a sound one.
      do {
        try check(sector, number: number, of: layer)
      } catch {
        damage = damage ?? error
        continue
      }
      return try Self(sector, number: number, on: layer)
    }
    if let damage { throw damage }
    return nil
  }

  private static func check(
    _ sector: [UInt8], number: Int, of layer: Layer
  ) throws(StackError) {
    let (place, checksum) = sector.withUnsafeBytes { bytes in
      (
        bytes.number(at: Field.sector, as: UInt64.self),
        bytes.number(at: Field.checksum, as: UInt32.self)
      )
    }
    guard checksum == MetadataChecksum.checksum(sector[Field.header...]) else {
      throw StackError(
        .malformed, "the LVM2 label of \(layer.title) in sector \(number) is damaged")
    }
    guard place == UInt64(number) else {
      throw StackError(
        .malformed, "the LVM2 label of \(layer.title) in sector \(number) belongs in another sector"
      )
    }
  }

  private init(_ sector: [UInt8], number: Int, on layer: Layer) throws(StackError) {
    guard let header = Self.header(sector) else {
      throw StackError(
        .malformed, "the LVM2 label of \(layer.title) in sector \(number) is malformed")
    }
    guard header.areas.count <= Self.maximumAreas else {
      throw StackError(.malformed, "\(layer.title) has \(header.areas.count) LVM2 metadata areas")
    }
    var areas: [MetadataArea] = []
    for offset in header.areas {
      areas.append(try MetadataArea.read(from: layer, at: offset, after: areas))
    }
    self.layer = layer
    id = header.id
    isUsed = header.isUsed
    self.areas = areas
    labelOffset = UInt64(number * Self.sectorLength)
  }

  // MARK: The header

  private struct Header {
    let id: VolumeIdentifier
    let isUsed: Bool
    /// Where the metadata areas begin, bytes from the start of the layer.
    let areas: [UInt64]
  }

  /// `nil` when a part of it lies outside of the label's sector.
  private static func header(_ sector: [UInt8]) -> Header? {
    sector.withUnsafeBytes { bytes in
      guard let start: UInt32 = bytes.number(at: Field.header),
        case let start = Int(clamping: start), start >= Field.labelLength,
        let id = bytes.run(at: start, count: VolumeIdentifier.length).flatMap({
          VolumeIdentifier($0)
        })
      else { return nil }
      // The areas of data, and after them those of metadata. Where extents lie is for
      // the metadata to say.
      guard let data = locations(in: bytes, at: start + Field.headerLength),
        let areas = locations(in: bytes, at: data.end)
      else { return nil }
      let version: UInt32? = bytes.number(at: areas.end)
      let flags: UInt32? = bytes.number(at: areas.end + 4)
      return Header(
        id: id, isUsed: (version ?? 0) >= 2 && (flags ?? 0) & 1 != 0, areas: areas.offsets)
    }
  }

  /// A list of places, up to the one whose offset is 0.
  private static func locations(
    in bytes: UnsafeRawBufferPointer, at start: Int
  ) -> (offsets: [UInt64], end: Int)? {
    var offsets: [UInt64] = []
    var position = start
    while bytes.run(at: position, count: Field.locationLength) != nil,
      let offset: UInt64 = bytes.number(at: position)
    {
      position += Field.locationLength
      if offset == 0 { return (offsets, position) }
      offsets.append(offset)
    }
    return nil
  }

  // MARK: Probes

  /// The label without its checksum, and the identifier after it. The checksum, the
  /// size and the flags that it covers change in a long life: pvresize, vgextend.
  func identity(as index: Int) -> ProbeWindow {
    let window = Self.identity(ofLabelIn: Int(labelOffset) / Self.sectorLength)
    return ProbeWindow(
      layer: index, offset: window.offset, length: window.length, fragments: window.fragments)
  }

  static func identity(ofLabelIn sector: Int) -> ProbeWindow {
    let label = Field.checksum..<Field.header
    return ProbeWindow(
      layer: 0, offset: UInt64(sector * sectorLength), length: sectorLength,
      fragments: [
        Probe.Fragment(offset: 0, length: label.lowerBound),
        Probe.Fragment(
          offset: label.upperBound,
          length: Field.labelLength + VolumeIdentifier.length - label.upperBound),
      ])
  }

  /// What counts of the identity of a volume with this identifier.
  static func identityBytes(of id: VolumeIdentifier, sector: Int) -> [UInt8] {
    func number(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }
    // The header follows the label at once.
    return Field.id.bytes + number(UInt64(sector), 8) + number(UInt64(Field.labelLength), 4)
      + Field.type.bytes + id.bytes
  }

  /// The label, and what tells of a commit in every metadata area that is in use.
  func witness(as index: Int) -> [ProbeWindow] {
    [identity(as: index)] + areas.filter { !$0.isIgnored }.map { $0.witness(as: index) }
  }

  /// A commit writes to it.
  var hasAreaInUse: Bool { areas.contains { !$0.isIgnored } }
}
