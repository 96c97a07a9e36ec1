public import DataSets
public import FrozenImage
import Glibc
public import LogicalRepresentation
import SystemPackage

extension BtrfsFreezer {
  /// Writes a frozen image's representation.
  ///
  /// - Parameters:
  ///   - id: what the image is known by.
  ///   - name: the image's label.
  ///   - host: the production host's name.
  ///   - source: what was frozen, for people.
  ///   - service: where a service answers for the image; empty when none does.
  ///   - progress: called now and then.
  /// - Returns: the media that the image lies on.
  /// - Throws: `BtrfsError`, `SourceError`, or what the writer and the scratch space
  ///   throw.
  @discardableResult
  public static func describe(
    _ frozen: BtrfsImage, as id: UniqueIdentifier, name: String, host: String, source: String,
    service: String = "", scratch: any RepresentationScratch, progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    let subvolume = try OpenSubvolume(frozen)
    let created = try requireFrozen(subvolume, frozen)
    // In this order: see `Relocation.swift`. What the walk finds in younger leaves
    // belongs to later states, and is what the first question about this state
    // reports as changed, so it does no harm under this state's name.
    let (view, marks) = try look(subvolume, id: frozen.subvolumeID)
    let relocation = try Relocation.floor(ofSubvolume: frozen.subvolumeID, subvolume.descriptor)
    let cursor = MappingCursor(
      generation: view.generation, floor: min(view.generation, relocation ?? .max),
      changeTransaction: frozen.frozenTransaction,
      incarnation: Incarnation(of: subvolume.fileSystem.id))
    let volume = DescribedVolume(
      subvolume: subvolume, view: view,
      state: MappingState(
        configurationID: view.configurationID, cursor: cursor.bytes, marks: marks),
      chunks: try ChunkTree(of: subvolume.descriptor))
    let image = ImageDescription(
      id: id, name: name, created: created, provider: "btrfs", host: host, source: source,
      service: service, statistics: statistics(of: subvolume),
      // The snapshot's time is that of the freeze, unless it is one of a snapshot.
      freezeLead: frozen.sourceRested == true ? 0 : 1)
    let description = try volume.description()
    let scratch = RestartableScratch(scratch)
    func begin(_ salvage: Salvage?) throws -> TreeWalk {
      TreeWalk(
        volume: volume, subvolumeID: frozen.subvolumeID,
        writer: try RepresentationWriter(image: image, volumes: [description], scratch: scratch),
        salvage: salvage)
    }
    var walk = try begin(nil)
    do {
      try walk.run(progress)
    } catch is TreeDamage {
      scratch.restart()
      walk = try begin(try Salvage(subvolume, id: frozen.subvolumeID))
      try walk.run(progress)
    }
    // A crash must not take back what the walk saw: leaves of a transaction that was
    // not committed, or that relocation swapped in without one.
    try subvolume.descriptor.commitTransaction()
    _ = try requireFrozen(subvolume, frozen)
    try walk.finish(rootName: FilePath(source).lastComponent?.string ?? source)
    return description.media
  }

  /// Looks at the media until their state rests for long enough to find its marks, or for
  /// the last time.
  private static func look(
    _ subvolume: OpenSubvolume, id: UInt64
  ) throws(BtrfsError) -> (view: VolumeView, marks: [StateMark]) {
    let watch = VolumeWatch(subvolume)
    let stateMarks = StateMarks(subvolume, id: id)
    for _ in 0..<10 {
      let view = try watch.look()
      let marks = stateMarks.marks(of: view)
      if !marks.isEmpty { return (view, marks) }
    }
    return (try watch.look(), [])
  }

  /// - Returns: when the snapshot was made.
  private static func requireFrozen(
    _ subvolume: OpenSubvolume, _ frozen: BtrfsImage
  ) throws(BtrfsError) -> Timestamp {
    do {
      let info = try subvolume.info()
      if info.isReadOnly, info.id == frozen.subvolumeID,
        info.changeTransaction == frozen.frozenTransaction
      {
        return info.created
      }
    } catch {
      throw BtrfsError(cannot: "look at the snapshot \(subvolume.path)", error)
    }
    throw BtrfsError(.inUse, "the snapshot \(subvolume.path) was changed while it was described")
  }

  private static func statistics(of subvolume: OpenSubvolume) -> FileSystemStatistics {
    var status = statvfs()
    _ = fstatvfs(subvolume.descriptor.rawValue, &status)
    return FileSystemStatistics(
      blockSize: UInt32(clamping: status.f_frsize), blocks: UInt64(status.f_blocks),
      freeBlocks: UInt64(status.f_bfree), availableBlocks: UInt64(status.f_bavail),
      files: UInt64(status.f_files), freeFiles: UInt64(status.f_ffree),
      maximumNameLength: UInt32(clamping: status.f_namemax))
  }
}

/// The volume as a description tells it.
struct DescribedVolume {
  let subvolume: OpenSubvolume
  let view: VolumeView
  let state: MappingState
  /// Every chunk that was seen while the tree was walked. When one of them is not of
  /// `state`, a commit came since: then the first question about `state` brings the
  /// volume's present map and names every extent that moved, and nothing is read
  /// under this one.
  private(set) var chunks: ChunkTree

  init(subvolume: OpenSubvolume, view: VolumeView, state: MappingState, chunks: ChunkTree) {
    self.subvolume = subvolume
    self.view = view
    self.state = state
    self.chunks = chunks
  }

  /// Reads the chunk tree again; `false` when it has nothing that was not known.
  mutating func reload() throws(BtrfsError) -> Bool {
    var now = try ChunkTree(of: subvolume.descriptor)
    now.add(chunks)
    defer { chunks = now }
    return now.chunks != chunks.chunks || now.devices != chunks.devices
  }

  func description() throws(BtrfsError) -> VolumeDescription {
    let fileSystem = subvolume.fileSystem
    return VolumeDescription(
      id: fileSystem.id, label: volumeLabel(of: subvolume.descriptor), state: state,
      map: try chunks.storeMap(), media: view.media(of: chunks, on: subvolume),
      checksum: fileSystem.checksum, checksumBlockSize: fileSystem.sectorSize)
  }
}
