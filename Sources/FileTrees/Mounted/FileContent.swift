import CFileMap
package import DataSets
package import FrozenImage
import Glibc
package import SystemPackage
package import VolumeLayers

/// Where a regular file's bytes come from, in the address space of the layer that its
/// file system's device is.
///
/// What the kernel tells is turned into the extents of a representation; a file whose
/// bytes do not lie on that device, or not as they are, is encoded as a whole.
package struct FileContent {
  /// Bytes kept beside metadata travel in the representation, up to this many.
  static let mostInlineBytes: UInt64 = 64 << 10

  let layer: Layer
  /// Whether the file system is read-only, so that no journal holds data.
  let isReadOnly: Bool
  let kind: MountedKind

  package init(layer: Layer, isReadOnly: Bool, kind: MountedKind) {
    self.layer = layer
    self.isReadOnly = isReadOnly
    self.kind = kind
  }

  /// The extents of a range of a file, in order, neighbours joined. An inline extent
  /// has the heap offset 0.
  ///
  /// - Throws: `FileMapError`, `StackError`, `Errno`.
  package func visit(
    _ file: FileDescriptor, _ attributes: NodeAttributes, in range: Range<UInt64>,
    _ body: (FileExtent) throws -> Void
  ) throws {
    // Up to the end of the last block, so that the media are read in whole blocks; that of
    // the largest possible file ends one byte behind it.
    let block: UInt64 = 4096
    let limit = (min(attributes.size, UInt64(Int64.max)) + block - 1) / block * block
    let range = range.clamped(to: 0..<limit)
    guard !range.isEmpty else { return }
    guard try !isEncoded(file, attributes) else {
      let whole = FileExtent(
        offset: range.lowerBound, length: range.upperBound - range.lowerBound, source: .encoded)
      if let extent = whole.clipped(to: 0..<attributes.size) { try body(extent) }
      return
    }
    var map = FileMap(of: file, in: range)
    var pending: FileExtent?
    while let run = try map.next() {
      for extent in try extents(of: run, size: attributes.size) {
        if let before = pending {
          pending = before.joined(with: extent)
          if pending != nil { continue }
          try body(before)
        }
        pending = extent
      }
    }
    if let pending { try body(pending) }
  }

  private func isEncoded(_ file: FileDescriptor, _ attributes: NodeAttributes) throws(Errno) -> Bool
  {
    var flags = UInt64(cfilemap_flag_encrypted)
    // What was written may lie in the journal and not yet in its place.
    if !isReadOnly { flags |= UInt64(cfilemap_flag_journals_data) }
    if attributes.inodeFlags & flags != 0 { return true }
    guard kind.isXFS else { return false }
    var isRealtime: Int32 = 0
    guard cfilemap_is_realtime(file.rawValue, &isRealtime) == 0 else {
      throw Errno(rawValue: errno)
    }
    return isRealtime != 0
  }

  private func extents(of run: FileRun, size: UInt64) throws(StackError) -> [FileExtent] {
    let length = run.range.upperBound - run.range.lowerBound
    func single(_ source: FileExtent.Source) -> [FileExtent] {
      let extent = FileExtent(offset: run.range.lowerBound, length: length, source: source)
      return extent.clipped(to: 0..<size).map { [$0] } ?? []
    }
    switch run.place {
    case .unwritten: return single(.unwritten)
    case .encoded: return single(.encoded)
    case .inline:
      return single(length <= Self.mostInlineBytes ? .inline(heapOffset: 0) : .encoded)
    case .stored(let offset):
      let (end, overflow) = offset.addingReportingOverflow(length)
      guard !overflow, end <= layer.size else {
        throw StackError(
          .malformed,
          "the kernel tells of an extent at byte \(offset), beyond the end of \(layer.title)")
      }
      return layer.fileExtents(
        at: run.range.lowerBound, of: offset..<end, store: Stack.topStore)
    }
  }
}

extension FileExtent {
  /// The two as one extent; `nil` when the second does not continue the first.
  package func joined(with next: FileExtent) -> FileExtent? {
    guard end == next.offset else { return nil }
    let (length, overflow) = length.addingReportingOverflow(next.length)
    guard !overflow else { return nil }
    switch (source, next.source) {
    case (.unwritten, .unwritten), (.encoded, .encoded): break
    case (.stored(let address), .stored(let following)):
      let (end, overflow) = address.offset.addingReportingOverflow(self.length)
      guard !overflow, address.store == following.store, following.offset == end else {
        return nil
      }
    default: return nil
    }
    return FileExtent(offset: offset, length: length, source: source)
  }
}
