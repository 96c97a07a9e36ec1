import DataSets
import FrozenImage
import VolumeLayers

/// Makes runs of an image's L1 and L2 tables.
struct ClusterMap {
  let header: Qcow2Header
  let lower: [Layer]
  /// Index of the layer that keeps the data; the image itself is 0.
  let dataFile: Int
  let keepsDataOutside: Bool
  let backing: Int?
  private(set) var runs = RunList()
  /// The compressed clusters in ascending order.
  private(set) var compressed: [CompressedClusters.Cluster] = []
  private var title: String { lower[0].title }

  /// Bits 9 through 55 of an entry: a place in the image.
  static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00
  /// Bytes of all L2 tables together, which are read whole: those of a disk of 16 TiB in
  /// clusters of 64 KiB. A sparse file may have any number of tables that map nothing.
  static let maximumTableLength: UInt64 = 2 << 30
  private static let copiedFlag: UInt64 = 1 << 63
  private static let compressedFlag: UInt64 = 1 << 62
  private static let zeroFlag: UInt64 = 1

  init(header: Qcow2Header, lower: [Layer], dataFile: Int?, backing: Int?) {
    self.header = header
    self.lower = lower
    self.dataFile = dataFile ?? 0
    keepsDataOutside = dataFile != nil
    self.backing = backing
  }

  /// - Parameter table: the entries of the active L1 table that the disk's size needs.
  /// - Throws: `StackError` when an entry leads nowhere or to a place twice, or there are
  ///   too many L2 tables.
  mutating func add(_ table: [UInt64]) throws(StackError) {
    // At most 2^22 of them (`Qcow2Header.activeTable`).
    let count = UInt64(table.count { $0 & Self.offsetMask != 0 })
    guard count * header.clusterSize <= Self.maximumTableLength else {
      throw StackError(
        .malformed,
        "\(title) has \(count) L2 tables of \(header.clusterSize) bytes, more than "
          + "\(Self.maximumTableLength) bytes in all")
    }
    var seen: Set<UInt64> = []
    var entries = [UInt8](repeating: 0, count: Int(header.clusterSize))
    for (index, entry) in table.enumerated() {
      let start = UInt64(index) * header.tableSpan
      let range = start..<min(header.size, start + header.tableSpan)
      let offset = entry & Self.offsetMask
      guard offset != 0 else {
        try addUnallocated(range)
        continue
      }
      let image = lower[0]
      guard offset % header.clusterSize == 0, offset < image.size,
        header.clusterSize <= image.size - offset
      else {
        throw StackError(
          .malformed,
          "\(title): the L2 table for byte \(start) lies at byte \(offset), where none can be")
      }
      // One table for two parts of the disk cannot come from a writer, and would let a
      // small file ask for boundless memory.
      guard seen.insert(offset).inserted else {
        throw StackError(.malformed, "\(title): the L2 table at byte \(offset) is used twice")
      }
      try read(&entries, at: offset)
      try add(entries, of: range)
    }
  }

  private func read(_ entries: inout [UInt8], at offset: UInt64) throws(StackError) {
    var failure: StackError?
    entries.withUnsafeMutableBytes { buffer in
      do throws(StackError) { try lower[0].read(into: buffer, at: offset) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  /// Adds what an L2 table maps.
  private mutating func add(_ bytes: [UInt8], of range: Range<UInt64>) throws(StackError) {
    let fields = BigEndianFields(bytes: bytes, title: title)
    var position = range.lowerBound
    var place = 0
    while position < range.upperBound {
      let cluster = position..<min(range.upperBound, position + header.clusterSize)
      let entry: UInt64 = try fields.number(at: place)
      if entry & Self.compressedFlag != 0 {
        try addCompressed(entry, cluster)
      } else if header.features.contains(.extendedEntries) {
        try addSubclusters(entry, bitmap: fields.number(at: place + 8), cluster)
      } else if entry & Self.zeroFlag != 0 {
        guard header.version >= 3 else {
          throw StackError(
            .unsupported,
            "\(title): a zero cluster at byte \(position), which version 2 does not know")
        }
        try runs.append(cluster, .zeros)
      } else if isAllocated(entry) {
        try addData(cluster, at: entry & Self.offsetMask)
      } else {
        try addUnallocated(cluster)
      }
      position = cluster.upperBound
      place += Int(header.entryLength)
    }
  }

  /// A place of 0 is one only in a data file, where the copied flag tells.
  private func isAllocated(_ entry: UInt64) -> Bool {
    entry & Self.offsetMask != 0 || keepsDataOutside && entry & Self.copiedFlag != 0
  }

  /// 32 subclusters: the bitmap's lower half tells which are kept in the cluster, its
  /// upper half which read as zeros.
  private mutating func addSubclusters(
    _ entry: UInt64, bitmap: UInt64, _ cluster: Range<UInt64>
  ) throws(StackError) {
    let length = header.clusterSize / 32
    let host = entry & Self.offsetMask
    for index in 0..<32 {
      let start = cluster.lowerBound + UInt64(index) * length
      guard start < cluster.upperBound else { return }
      let range = start..<min(start + length, cluster.upperBound)
      let isKept = bitmap >> UInt64(index) & 1 != 0
      let isZero = bitmap >> UInt64(32 + index) & 1 != 0
      guard !isKept || !isZero && isAllocated(entry) else {
        throw StackError(
          .malformed, "\(title): the allocation bitmap for byte \(start) contradicts itself")
      }
      if isKept {
        try addData(range, at: host, skipping: UInt64(index) * length)
      } else if isZero {
        try runs.append(range, .zeros)
      } else {
        try addUnallocated(range)
      }
    }
  }

  /// Bytes that were never written: the backing file's, and zeros behind its end.
  private mutating func addUnallocated(_ range: Range<UInt64>) throws(StackError) {
    var zerosStart = range.lowerBound
    if let backing, lower[backing].size > range.lowerBound {
      zerosStart = min(range.upperBound, lower[backing].size)
      try runs.append(
        range.lowerBound..<zerosStart, .below(layer: backing, offset: range.lowerBound))
    }
    if zerosStart < range.upperBound { try runs.append(zerosStart..<range.upperBound, .zeros) }
  }

  /// Bytes of a standard cluster, or of one of its subclusters. The file may end inside the
  /// last cluster, which a writer need not fill; QEMU reads zeros from there on (as of any
  /// file behind its end). Where it ends before a cluster begins, it was cut short.
  private mutating func addData(
    _ range: Range<UInt64>, at cluster: UInt64, skipping: UInt64 = 0
  ) throws(StackError) {
    let file = lower[dataFile]
    guard cluster % header.clusterSize == 0, cluster < file.size else {
      throw StackError(
        .malformed,
        "\(title): the cluster for byte \(range.lowerBound) lies at byte \(cluster), but \(file.title) has \(file.size) bytes"
      )
    }
    let start = cluster + skipping
    let kept = start < file.size ? min(range.upperBound - range.lowerBound, file.size - start) : 0
    let zerosStart = range.lowerBound + kept
    if kept > 0 {
      try runs.append(range.lowerBound..<zerosStart, .below(layer: dataFile, offset: start))
    }
    if zerosStart < range.upperBound { try runs.append(zerosStart..<range.upperBound, .zeros) }
  }

  private mutating func addCompressed(
    _ entry: UInt64, _ range: Range<UInt64>
  ) throws(StackError) {
    let cluster = CompressedClusters.Cluster(
      entry: entry, index: range.lowerBound >> header.clusterBits, clusterBits: header.clusterBits)
    guard !keepsDataOutside else {
      throw StackError(
        .malformed,
        "\(title): a compressed cluster at byte \(range.lowerBound), but data lies in another file")
    }
    guard cluster.offset < lower[0].size else {
      throw StackError(
        .malformed,
        "\(title): the compressed cluster for byte \(range.lowerBound) lies at byte \(cluster.offset), but the file has \(lower[0].size) bytes"
      )
    }
    guard compressed.count < RunList.maximumCount else {
      throw StackError(
        .noRoom, "\(title) has more than \(RunList.maximumCount) compressed clusters")
    }
    compressed.append(cluster)
    try runs.append(range, .encoded)
  }
}

/// Runs in ascending order, neighbours merged.
struct RunList {
  enum Place {
    case below(layer: Int, offset: UInt64)
    case zeros
    case encoded
  }

  /// Most runs that are kept in memory.
  static let maximumCount = 1 << 24

  private var runs: [LayerRun] = []
  private var last: (range: Range<UInt64>, place: Place)?

  /// - Parameter range: begins where the last one ended, and is not empty.
  /// - Throws: `StackError` when there are too many.
  mutating func append(_ range: Range<UInt64>, _ place: Place) throws(StackError) {
    if let last,
      last.place.goesOn(with: place, after: last.range.upperBound - last.range.lowerBound)
    {
      self.last = (last.range.lowerBound..<range.upperBound, last.place)
      return
    }
    guard runs.count < Self.maximumCount else {
      throw StackError(.noRoom, "the disk image lies in more than \(Self.maximumCount) pieces")
    }
    close()
    last = (range, place)
  }

  private mutating func close() {
    guard let last else { return }
    switch last.place {
    case .below(let layer, let offset):
      runs.append(.linear(last.range, at: LayerAddress(layer: layer, offset: offset)))
    case .zeros: runs.append(LayerRun(last.range, .zeros))
    case .encoded: runs.append(LayerRun(last.range, .encoded))
    }
  }

  func finish() -> [LayerRun] {
    var list = self
    list.close()
    return list.runs
  }
}

extension RunList.Place {
  /// Whether the run with this place, of a length, is continued by another place.
  fileprivate func goesOn(with next: RunList.Place, after length: UInt64) -> Bool {
    switch (self, next) {
    case (.zeros, .zeros), (.encoded, .encoded): true
    case (.below(let layer, let offset), .below(let nextLayer, let nextOffset)):
      layer == nextLayer && offset + length == nextOffset
    default: false
    }
  }
}
