import DataSets
import FrozenImage
import LogicalRepresentation
import SystemPackage

/// Walks a frozen subvolume's tree once, in key order, so that all items of an inode
/// come together, and writes what it finds.
///
/// Items are taken in groups. The extents of a group, and the checksums of the
/// addresses that they name, are looked up in two trees, between which the space may
/// be freed and written with something else. So a group counts only when no
/// transaction began since its items were found: space that is freed in a
/// transaction is not written again before the next one began.
struct TreeWalk: ~Copyable {
  /// Bytes of checksums that are collected before they are written.
  private static let groupBytes = 8 << 20
  /// Times that a group is looked up again because the volume moved on.
  private static let attempts = 1000
  /// Times that a group is looked up again because a checksum is missing that should
  /// be there: the extent may just have moved.
  private static let checksumAttempts = 3

  var volume: DescribedVolume
  let subvolumeID: UInt64
  let files: OpenFiles
  var writer: RepresentationWriter
  private var checksums: ChecksumTree
  /// The inode that was begun.
  var open: InodeItem?
  /// One past the last of its bytes that are known to be unreadable.
  var unreadableEnd: UInt64 = 0
  var progress = FreezeProgress()
  /// What there is in a tree that is damaged; `nil` while it is taken for whole.
  let salvage: Salvage?
  /// How many of the lost inodes were written.
  var lostWritten = 0
  var links = LinkBalance()

  init(
    volume: DescribedVolume, subvolumeID: UInt64, writer: consuming RepresentationWriter,
    salvage: Salvage? = nil
  ) {
    self.volume = volume
    self.salvage = salvage
    self.subvolumeID = subvolumeID
    self.writer = writer
    files = OpenFiles(of: volume.subvolume, id: subvolumeID)
    checksums = ChecksumTree(of: volume.subvolume.descriptor, volume.subvolume.fileSystem)
  }

  /// Writes all nodes.
  ///
  /// - Throws: `TreeDamage` when the tree is not whole, and it is not known what there is;
  ///   then nothing is complete.
  mutating func run(_ report: (FreezeProgress) -> Void) throws {
    var search = TreeSearch(of: volume.subvolume.descriptor, capacity: 256 << 10)
    var start = InodeNumbers.allKeys.lowerBound
    var attempt = 0
    var lastGeneration: UInt64 = 0
    while true {
      let generation = try volume.subvolume.runningGeneration()
      if generation != lastGeneration || attempt > 0 { checksums.forget() }
      lastGeneration = generation
      // A small group is more likely to be done before the next transaction begins.
      let items: [TreeItem]
      do throws(BtrfsError) {
        items = try search.items(
          in: subvolumeID, start...InodeNumbers.allKeys.upperBound,
          limit: attempt == 0 ? .max : 64)
      } catch {
        guard error.isUnreadableBlock else { throw error }
        guard let next = try passGap(at: start, error) else { break }
        start = next
        continue
      }
      if items.isEmpty { break }
      var rest = items[...]
      while let first = rest.first {
        let group = try group(rest, acceptsMissing: attempt >= Self.checksumAttempts)
        guard let group, try volume.subvolume.runningGeneration() == generation else {
          attempt += 1
          guard attempt < Self.attempts else {
            throw BtrfsError(
              .inUse, "\(volume.subvolume.path) is moved faster than it can be described")
          }
          start = first.key
          break
        }
        attempt = 0
        for (item, extent) in group { try write(item, extent) }
        report(progress)
        rest = rest.dropFirst(group.count)
        guard let next = group.last?.item.key.next else { break }
        start = next
      }
    }
    try endNode()
    try writeLost(before: .max)
    guard salvage != nil || links.isEven else { throw TreeDamage() }
    report(progress)
  }

  /// Completes the representation.
  consuming func finish(rootName: String) throws {
    try writer.finish(rootInode: InodeNumbers.root, rootName: rootName)
  }
}

// MARK: Looking up

extension TreeWalk {
  /// What an extent item becomes in the representation.
  enum Extent {
    case skipped
    case inline(length: UInt64, bytes: [UInt8])
    /// A part of the file, up to an end that may not be known, and why.
    case unreadable(Range<UInt64>, reason: String)
    /// Of which the kernel cannot read a part, and why.
    case partlyUnreadable(FileExtent, reason: String)
    /// One kind of bytes, cut where checksums begin and end.
    case pieces([(extent: FileExtent, checksums: [UInt8]?)])
  }

  private typealias Group = [(item: TreeItem, extent: Extent)]

  /// Takes items up to a bound, and looks up what their extents need; `nil` when
  /// something that ought to be there is missing.
  private mutating func group(
    _ items: ArraySlice<TreeItem>, acceptsMissing: Bool
  ) throws -> Group? {
    var group: Group = []
    var inode = open
    var bytes = 0
    for item in items {
      if item.key.type == ItemType.inode { inode = try reachedInode(item) }
      var extent = Extent.skipped
      if item.key.type == ItemType.fileExtent, let inode, inode.links > 0,
        inode.attributes.inode == item.key.object
      {
        guard let found = try lookUp(item, of: inode, acceptsMissing: acceptsMissing) else {
          return nil
        }
        extent = found
      }
      if case .pieces(let pieces) = extent {
        bytes += pieces.reduce(0) { $0 + ($1.checksums?.count ?? 0) }
      }
      group.append((item, extent))
      if bytes >= Self.groupBytes { break }
    }
    return group
  }

  /// The inode of an item; `nil` when no path leads to it, so that it is not described.
  func reachedInode(_ item: TreeItem) throws(TreeDamage) -> InodeItem? {
    if let salvage, !salvage.reaches(item.key.object) { return nil }
    let inode = InodeItem(
      item.payload, inode: item.key.object, sectorSize: volume.subvolume.fileSystem.sectorSize)
    if inode == nil, salvage == nil { throw TreeDamage() }
    return inode
  }

  private mutating func lookUp(
    _ item: TreeItem, of inode: InodeItem, acceptsMissing: Bool
  ) throws -> Extent? {
    let offset = item.key.offset
    let place = "the extent of inode \(item.key.object) of \(volume.subvolume.path) at \(offset)"
    guard let extent = FileExtentItem(item.payload),
      !offset.addingReportingOverflow(extent.length).overflow
    else {
      let length = FileExtentItem.length(of: item.payload) ?? .max
      let (end, overflow) = offset.addingReportingOverflow(length)
      return .unreadable(
        offset..<(overflow ? .max : end), reason: "\(place) is malformed or of an unknown type")
    }
    // Space may be allocated past the end of the file; nobody can read it.
    if offset >= inode.attributes.size { return .skipped }
    if inode.attributes.type == .symbolicLink {
      return offset == 0 ? target(extent, of: inode.attributes) : .skipped
    }
    switch extent {
    case .hole:
      return .skipped
    case .inline(let length, let bytes, isEncoded: false):
      return .inline(length: length, bytes: Array(bytes.prefix(Int(clamping: length))))
    case .inline(let length, _, isEncoded: true):
      do throws(BtrfsError) {
        return .inline(length: length, bytes: try inlineBytes(length, of: inode.attributes))
      } catch {
        // A change is not this file's alone: the snapshot is no longer what it was.
        guard error.errno != nil else { throw error }
        return .unreadable(0..<length, reason: error.description)
      }
    case .preallocated(let length):
      return single(offset, length, .unwritten)
    case .encoded(let length):
      return leftToTheKernel(
        offset, length, of: inode.attributes, place, looksAtAll: false)
    case .compressed(let length, let item):
      let sectorSize = volume.subvolume.fileSystem.sectorSize
      guard let run = item.run(holding: length, sectorSize: sectorSize) else {
        return single(offset, length, .encoded)
      }
      return try compressed(
        FileExtent(offset: offset, length: length, source: .compressed(run)), run, of: inode, place,
        acceptsMissing: acceptsMissing)
    case .regular(let address, let length):
      guard let chunk = try chunk(holding: address, length: length) else { return nil }
      guard chunk.parityProfile == nil else { return single(offset, length, .encoded) }
      guard !inode.isWithoutChecksums else {
        let address = StoreAddress(store: ChunkTree.addressSpace, offset: address)
        return single(offset, length, .stored(address))
      }
      do throws(BtrfsError) {
        return try pieces(offset, address, length, acceptsMissing: acceptsMissing)
      } catch {
        guard error.isUnreadableBlock else { throw error }
        return leftToTheKernel(offset, length, of: inode.attributes, place)
      }
    }
  }

  /// The target of a symbolic link, which its only extent holds.
  private func target(_ extent: FileExtentItem, of attributes: NodeAttributes) -> Extent {
    do throws(BtrfsError) {
      let target = try linkTarget(extent, of: attributes)
      return .inline(length: UInt64(target.count), bytes: target)
    } catch {
      return .unreadable(0..<attributes.size, reason: error.description)
    }
  }

  private mutating func compressed(
    _ extent: FileExtent, _ run: CompressedRun, of inode: InodeItem, _ place: String,
    acceptsMissing: Bool
  ) throws -> Extent? {
    do {
      return try compressed(extent, run, of: inode, acceptsMissing: acceptsMissing)
    } catch let error as BtrfsError where error.isUnreadableBlock {
      return leftToTheKernel(extent.offset, extent.length, of: inode.attributes, place)
    }
  }

  func single(
    _ offset: UInt64, _ length: UInt64, _ source: FileExtent.Source
  ) -> Extent {
    .pieces([(FileExtent(offset: offset, length: length, source: source), nil)])
  }

  private mutating func pieces(
    _ offset: UInt64, _ address: UInt64, _ length: UInt64, acceptsMissing: Bool
  ) throws(BtrfsError) -> Extent? {
    var result: [(extent: FileExtent, checksums: [UInt8]?)] = []
    for piece in try checksums.pieces(of: address, length: length) {
      if piece.checksums == nil, !acceptsMissing { return nil }
      let store = StoreAddress(store: ChunkTree.addressSpace, offset: piece.start)
      let extent = FileExtent(
        offset: offset + (piece.start - address), length: piece.length, source: .stored(store))
      result.append((extent, piece.checksums))
    }
    return .pieces(result)
  }

  private mutating func compressed(
    _ extent: FileExtent, _ run: CompressedRun, of inode: InodeItem, acceptsMissing: Bool
  ) throws -> Extent? {
    let length = UInt64(run.storedLength)
    guard let chunk = try chunk(holding: run.address.offset, length: length) else { return nil }
    guard chunk.parityProfile == nil else {
      return single(extent.offset, extent.length, .encoded)
    }
    guard !inode.isWithoutChecksums else { return .pieces([(extent, nil)]) }
    // The run is read as a whole, so it has all its checksums or counts as having none.
    var found: [UInt8]? = []
    for piece in try checksums.pieces(of: run.address.offset, length: length) {
      if piece.checksums == nil, !acceptsMissing { return nil }
      found = piece.checksums.flatMap { checksums in found.map { $0 + checksums } }
    }
    return .pieces([(extent, found)])
  }

  /// The chunk that an extent lies in; reads the chunk tree again when it is a new one.
  private mutating func chunk(
    holding address: UInt64, length: UInt64
  ) throws -> ChunkTree.Chunk? {
    if let chunk = volume.chunks.chunk(holding: address, length: length) { return chunk }
    guard try volume.reload() else { return nil }
    try writer.replaceVolumes([try volume.description()])
    return volume.chunks.chunk(holding: address, length: length)
  }
}
