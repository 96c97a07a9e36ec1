import DataSets
import FrozenImage
import VolumeLayers

/// A metadata area of a physical volume and the volume group's text that it holds.
///
/// It begins with `struct mda_header` (lvm2 lib/format_text/layout.h), whose slot 0
/// (`struct raw_locn`) tells where the committed text lies in the ring of bytes after
/// the header. A commit writes the new text to free bytes of the ring, then slot 1,
/// then slot 0 (lib/format_text/format-text.c, the comment before `_vg_write_raw`).
struct MetadataArea: Sendable {
  /// Bytes from the start of the layer.
  let offset: UInt64
  /// Commits pass it by (`RAW_LOCN_IGNORED`).
  let isIgnored: Bool
  /// What the committed text says; `nil` in an area that is ignored, or has none.
  let group: VolumeGroup?
  /// Bytes of the area, the header's with them.
  let size: UInt64
  /// Where the committed text begins, bytes from the start of the area; `nil` without one.
  let textOffset: UInt64?
  /// The committed text; empty without one.
  let text: [UInt8]

  private enum Field {
    static let magic = 4
    static let version = 20
    static let start = 24
    static let size = 32
    /// Slot 0: offset and size (8 bytes each), checksum and flags (4 bytes each).
    static let slot = 40
    static let slotLength = 24
    static let headerLength = 512
  }

  private static let magicBytes = Array(" LVM2 x[5A%r0N*>".utf8)
  private static let version: UInt32 = 1
  private static let ignored: UInt32 = 1
  /// A running commit may write over the text between the two reads.
  private static let attempts = 5

  /// - Parameter others: areas of the same volume, so that a text that they share is
  ///   taken apart once.
  /// - Throws: `StackError` when header or text are damaged or cannot be read.
  static func read(
    from layer: Layer, at offset: UInt64, after others: [MetadataArea]
  ) throws(StackError) -> MetadataArea {
    var header = try Header(layer, at: offset)
    for attempt in 1...attempts {
      guard let slot = header.slot else {
        return Self(header, group: nil, text: [])
      }
      let text = try header.text(slot, from: layer)
      let found = MetadataChecksum.checksum(text)
      if found == slot.checksum {
        if let same = others.first(where: { $0.text == text && $0.group != nil }) {
          return Self(header, group: same.group, text: text)
        }
        return Self(header, group: try parse(text, of: layer, at: offset), text: text)
      }
      let before = header
      header = try Header(layer, at: offset)
      guard header != before, attempt < attempts else { break }
    }
    throw StackError(
      .malformed,
      "the text of the LVM2 metadata area of \(layer.title) at byte \(offset) is damaged")
  }

  private init(_ header: Header, group: VolumeGroup?, text: [UInt8]) {
    offset = header.offset
    isIgnored = header.isIgnored
    size = header.size
    textOffset = header.slot?.offset
    self.group = group
    self.text = text
  }

  private static func parse(
    _ text: [UInt8], of layer: Layer, at offset: UInt64
  ) throws(StackError) -> VolumeGroup {
    do {
      return try ParsedTexts.group(text)
    } catch {
      throw StackError(
        "the LVM2 metadata of \(layer.title) in the area at byte \(offset)", cause: error)
    }
  }

  /// What changes with every commit, and only then: slot 0, after the constant fields.
  /// The header's checksum covers slot 1 too, so it would change and change back with
  /// a commit that is prepared and given up.
  func witness(as index: Int) -> ProbeWindow {
    ProbeWindow(
      layer: index, offset: offset, length: Field.headerLength,
      fragments: [
        Probe.Fragment(
          offset: Field.magic, length: Field.slot + Field.slotLength - Field.magic)
      ])
  }
}

extension MetadataArea {
  /// Where a text lies in the ring.
  private struct Slot: Equatable {
    /// Bytes from the start of the area.
    let offset: UInt64
    /// Bytes.
    let size: UInt64
    let checksum: UInt32
  }

  private struct Header: Equatable {
    let offset: UInt64
    /// Bytes of the area, the header's with them.
    let size: UInt64
    let isIgnored: Bool
    /// `nil` when there is no text that counts.
    let slot: Slot?

    init(_ layer: Layer, at offset: UInt64) throws(StackError) {
      let bytes = try layer.bytes(at: offset, count: Field.headerLength)
      let place = "the LVM2 metadata area of \(layer.title) at byte \(offset)"
      guard
        let fields = bytes.withUnsafeBytes({ Fields($0) }),
        fields.checksum == MetadataChecksum.checksum(bytes[Field.magic...]),
        bytes[Field.magic...].starts(with: magicBytes)
      else { throw StackError(.malformed, "the header of \(place) is damaged") }
      guard fields.version == version else {
        throw StackError(
          .unsupported, "\(place) is of version \(fields.version), which floe does not know")
      }
      let (end, overflow) = offset.addingReportingOverflow(fields.size)
      guard fields.start == offset, fields.size > UInt64(Field.headerLength), !overflow,
        end <= layer.size
      else { throw StackError(.malformed, "\(place) does not lie where its header says") }
      self.offset = offset
      size = fields.size
      isIgnored = fields.flags & ignored != 0
      if isIgnored || fields.slot.offset == 0 && fields.slot.size == 0 {
        slot = nil
      } else {
        slot = fields.slot
      }
    }

    /// The text, put together where it goes beyond the end of the ring.
    func text(_ slot: Slot, from layer: Layer) throws(StackError) -> [UInt8] {
      let ring = UInt64(Field.headerLength)..<size
      guard ring.contains(slot.offset), slot.size <= ring.upperBound - ring.lowerBound,
        slot.size <= UInt64(MetadataParser.maximumLength)
      else {
        throw StackError(
          .malformed,
          "the text of the LVM2 metadata area of \(layer.title) at byte \(offset) lies outside "
            + "of it")
      }
      let first = min(slot.size, ring.upperBound - slot.offset)
      let text = try layer.bytes(at: offset + slot.offset, count: Int(first))
      guard first < slot.size else { return text }
      return try text + layer.bytes(at: offset + ring.lowerBound, count: Int(slot.size - first))
    }
  }

  private struct Fields {
    let checksum: UInt32
    let version: UInt32
    let start: UInt64
    let size: UInt64
    let slot: Slot
    let flags: UInt32

    init?(_ bytes: UnsafeRawBufferPointer) {
      guard let checksum: UInt32 = bytes.number(at: 0),
        let version: UInt32 = bytes.number(at: Field.version),
        let start: UInt64 = bytes.number(at: Field.start),
        let size: UInt64 = bytes.number(at: Field.size),
        let offset: UInt64 = bytes.number(at: Field.slot),
        let length: UInt64 = bytes.number(at: Field.slot + 8),
        let textChecksum: UInt32 = bytes.number(at: Field.slot + 16),
        let flags: UInt32 = bytes.number(at: Field.slot + 20)
      else { return nil }
      self.checksum = checksum
      self.version = version
      self.start = start
      self.size = size
      self.slot = Slot(offset: offset, size: length, checksum: textChecksum)
      self.flags = flags
    }
  }
}
