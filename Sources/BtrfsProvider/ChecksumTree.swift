import FrozenImage
import SystemPackage

/// Reads data checksums from the checksum tree: one item holds the checksums of a
/// run of logical addresses, one after the other (EXTENT_CSUM, linux/btrfs_tree.h).
///
/// It keeps what the last search found, so that neighbours cost no further call. The
/// caller says when that may be out of date (`forget`): space that is freed and
/// written again has other checksums.
struct ChecksumTree: ~Copyable {
  /// `BTRFS_EXTENT_CSUM_OBJECTID`, linux/btrfs_tree.h.
  private static let object = UInt64(bitPattern: -10)

  /// A part of a run of addresses, and its checksums if it has any.
  struct Piece {
    let start: UInt64
    let length: UInt64
    let checksums: [UInt8]?
  }

  private struct Run {
    let start: UInt64
    let checksums: [UInt8]
    let end: UInt64
  }

  /// Bytes of a checksum.
  private let width: Int
  private let sectorSize: UInt64
  /// Most addresses that one item stands for: it fits into a node.
  private let longestItem: UInt64
  private var search: TreeSearch
  /// What was found: every checksum of the addresses in `known`.
  private var runs: [Run] = []
  private var known: Range<UInt64> = 0..<0

  init(of descriptor: FileDescriptor, _ fileSystem: FileSystemInfo) {
    sectorSize = UInt64(fileSystem.sectorSize)
    width = fileSystem.checksum.width
    longestItem = UInt64(fileSystem.nodeSize) / UInt64(width) * sectorSize
    search = TreeSearch(of: descriptor, capacity: max(64 << 10, 4 * Int(fileSystem.nodeSize)))
  }

  /// Forgets what was found before.
  mutating func forget() {
    runs = []
    known = 0..<0
  }

  /// The checksums of a run of addresses, cut where they begin and end.
  mutating func pieces(of address: UInt64, length: UInt64) throws(BtrfsError) -> [Piece] {
    let (end, overflow) = address.addingReportingOverflow(length)
    guard !overflow, address.isMultiple(of: sectorSize), length.isMultiple(of: sectorSize) else {
      throw BtrfsError(.malformed, "an extent at address \(address) is not made of whole blocks")
    }
    var pieces: [Piece] = []
    var position = address
    while position < end {
      if !known.contains(position) { try load(position) }
      let limit = min(end, known.upperBound)
      let run = runs[firstRun(endingAfter: position)...].first
      if let run, run.start <= position {
        let stop = min(limit, run.end)
        let first = Int((position - run.start) / sectorSize) * width
        let last = Int((stop - run.start) / sectorSize) * width
        pieces.append(
          Piece(
            start: position, length: stop - position,
            checksums: Array(run.checksums[first..<last])))
        position = stop
      } else {
        let stop = min(limit, run?.start ?? limit)
        pieces.append(Piece(start: position, length: stop - position, checksums: nil))
        position = stop
      }
    }
    return pieces
  }

  private func firstRun(endingAfter address: UInt64) -> Int {
    runs.partitioningIndex { $0.end > address }
  }

  /// Times that a tree which changes while it is searched is searched.
  private static let attempts = 100

  /// Finds the checksums from an address on, as many as one search gives.
  private mutating func load(_ address: UInt64) throws(BtrfsError) {
    // The kernel searches leaf by leaf, and checksums that are added or dropped meanwhile
    // cut the items anew: one that was seen may overlap the next.
    for _ in 0..<Self.attempts {
      if try tryToLoad(address) { return }
    }
    throw BtrfsError(.malformed, "the checksums of the volume overlap near address \(address)")
  }

  /// - Returns: `false` when items overlap.
  private mutating func tryToLoad(_ address: UInt64) throws(BtrfsError) -> Bool {
    forget()
    // The item that covers the address may begin before it.
    let first = address > longestItem ? address - longestItem : 0
    let last = TreeKey(object: Self.object, type: ItemType.extentChecksum, offset: .max)
    var start = TreeKey(object: Self.object, type: ItemType.extentChecksum, offset: first)
    while true {
      let items = try search.items(in: TreeID.checksum, start...last)
      for item in items {
        let run = try run(item)
        if let previous = runs.last, previous.end > run.start {
          forget()
          return false
        }
        runs.append(run)
      }
      guard let key = items.last?.key else {
        known = address..<UInt64.max
        return true
      }
      if let end = runs.last?.end, end > address {
        known = address..<end
        return true
      }
      guard let next = key.next, next <= last else {
        known = address..<UInt64.max
        return true
      }
      start = next
    }
  }

  private func run(_ item: TreeItem) throws(BtrfsError) -> Run {
    let count = item.payload.count / width
    let (length, overflow) = UInt64(count).multipliedReportingOverflow(by: sectorSize)
    let (end, past) = item.key.offset.addingReportingOverflow(length)
    guard count > 0, !overflow, !past, item.payload.count % width == 0,
      item.key.offset.isMultiple(of: sectorSize)
    else { throw BtrfsError(.malformed, "the checksum item at address \(item.key.offset) is torn") }
    return Run(start: item.key.offset, checksums: Array(item.payload), end: end)
  }
}
