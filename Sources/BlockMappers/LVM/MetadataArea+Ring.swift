import DataSets
import FrozenImage
import VolumeLayers

extension MetadataArea {
  /// A text that was committed, and the state of the group that it describes.
  struct Commit: Sendable {
    let group: VolumeGroup
    let state: LayerState

    init(_ group: VolumeGroup, text: [UInt8]) {
      self.group = group
      state = LayerState(
        number: group.sequenceNumber,
        checksum: MetadataChecksum.checksum(text.prefix { $0 != 0 }))
    }
  }

  /// The present text's.
  var commit: Commit? { group.map { Commit($0, text: text) } }

  private static let sector = 512
  /// Bytes of a ring that is looked at; lvm2 makes one of 1 MiB unless it is told otherwise.
  private static let maximumRing = 64 << 20

  /// The commits before the present one whose texts are still in the ring, the newest
  /// first, up to one that is looked for.
  ///
  /// A commit writes its text to the sector after the one in which the text before it ends
  /// (`_next_rlocn_offset`, lvm2 lib/format_text/format-text.c), round the ring, so a text
  /// stays until the ring has gone round. What lies between two commits is in no ring
  /// that a commit passed by: where the numbers are not one apart, the rest is left out.
  ///
  /// - Parameters:
  ///   - count: of commits that are looked for, as far as their numbers tell: so much of
  ///     the ring is read first.
  ///   - isLast: whether a state is the one that is looked for.
  /// - Throws: `StackError` when the layer cannot be read, or the present text was
  ///   overwritten meanwhile.
  func earlierCommits(
    on layer: Layer, count: UInt64, until isLast: (LayerState) -> Bool
  ) throws(StackError) -> [Commit] {
    guard let textOffset, let group, size > UInt64(Self.sector),
      size <= UInt64(Self.maximumRing), size.isMultiple(of: UInt64(Self.sector)),
      textOffset.isMultiple(of: UInt64(Self.sector))
    else { return [] }
    let ring = Ring(layer: layer, area: offset, length: Int(size) - Self.sector)
    let start = Int(textOffset) - Self.sector
    let whole = ring.length - (text.count + Self.sector - 1) / Self.sector * Self.sector
    // Texts grow and shrink from one commit to the next.
    let each = 2 * (text.count + 2 * Self.sector) / Self.sector * Self.sector
    let first = min(
      whole,
      Int(clamping: count.addingReportingOverflow(1).partialValue) < 64
        ? each * Int(count + 1) : whole)
    for length in Set([first, whole]).sorted() where length > 0 {
      let bytes = try ring.bytes(before: start, count: length)
      guard try ring.bytes(from: start, count: text.count) == text else {
        throw StackError(.inUse, "the LVM2 metadata of \(layer.title) were overwritten meanwhile")
      }
      let commits = Self.commits(in: bytes, before: group, until: isLast)
      if length == whole || commits.last.map({ isLast($0.state) }) ?? false { return commits }
    }
    return []
  }

  /// The bytes after an area's header, the first after the last.
  private struct Ring {
    let layer: Layer
    /// Where the area begins, bytes from the start of the layer.
    let area: UInt64
    let length: Int

    func bytes(from start: Int, count: Int) throws(StackError) -> [UInt8] {
      let first = min(count, length - start)
      let base = area + UInt64(sector)
      let bytes = try layer.bytes(at: base + UInt64(start), count: first)
      return first == count ? bytes : try bytes + layer.bytes(at: base, count: count - first)
    }

    func bytes(before end: Int, count: Int) throws(StackError) -> [UInt8] {
      try bytes(from: end >= count ? end - count : end - count + length, count: count)
    }
  }

  /// The texts at the end of bytes of a ring, the newest first.
  private static func commits(
    in bytes: [UInt8], before group: VolumeGroup, until isLast: (LayerState) -> Bool
  ) -> [Commit] {
    var commits: [Commit] = []
    var newer = group
    var next = bytes.count
    while let (commit, position) = commit(before: next, in: bytes, of: group.id) {
      // Who restores an older text begins to count from there.
      let number = commit.group.sequenceNumber
      guard number.addingReportingOverflow(1).partialValue >= newer.sequenceNumber else { break }
      commits.append(commit)
      if isLast(commit.state) { break }
      newer = commit.group
      next = position
    }
    return commits
  }

  /// The text that ends right before a place, where the next one begins.
  private static func commit(
    before next: Int, in ring: [UInt8], of id: VolumeIdentifier
  ) -> (commit: Commit, position: Int)? {
    var position = next - sector
    var terminator: Int?
    while position >= 0 {
      defer { position -= sector }
      terminator = ring[position..<position + sector].firstIndex(of: 0) ?? terminator
      guard let end = terminator, end > position else { continue }
      // Up to a whole sector is left free.
      let following = (end + sector) / sector * sector
      guard following == next || following + sector == next else { return nil }
      guard isBeginning(ring[position..<end]) else { continue }
      let text = Array(ring[position..<end])
      // A section in the middle of a text begins alike, but ends with too many brackets.
      if let group = try? ParsedTexts.group(text), group.id == id {
        return (Commit(group, text: text), position)
      }
    }
    return nil
  }

  /// Whether bytes begin as a text does: with the group's name and its identifier.
  private static func isBeginning(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let line = bytes.prefix(MetadataParser.maximumKeyLength).firstIndex(of: 0x0A) else {
      return false
    }
    let second = bytes[line...].drop { [0x0A, 0x09, 0x20].contains($0) }
    return bytes[..<line].reversed().starts(with: "{ ".utf8) && second.starts(with: "id =".utf8)
  }
}
