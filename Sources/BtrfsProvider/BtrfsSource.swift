public import FrozenImage
public import ImageReader
public import LogicalRepresentation
import SystemPackage

/// Answers a backup host's questions about a frozen image of a btrfs, from the
/// mounted file system itself.
///
/// It holds the snapshot open, so the file system stays mounted while it lives.
public final class BtrfsSource: ProductionHost, Sendable {
  private let subvolume: OpenSubvolume
  private let id: UInt64
  private let watch: VolumeWatch
  private let proof: FrozenProof
  private let files: OpenFiles
  private let marks: StateMarks
  private let incarnation: Incarnation

  /// Looks, commits and looks again this often before it gives up.
  private static let attempts = 5

  /// - Parameter representation: opens what was described of the image. It is called
  ///   once, when it is first needed to tell whether a file is still as frozen.
  /// - Throws: `SourceError.unreachable` when the file system is not mounted,
  ///   `SourceError.thawed` when the snapshot is gone.
  public init(
    _ frozen: BtrfsImage, representation: @escaping @Sendable () throws -> Representation
  ) throws(SourceError) {
    subvolume = try OpenSubvolume(frozen)
    id = frozen.subvolumeID
    watch = VolumeWatch(subvolume)
    proof = FrozenProof(subvolume, frozen, representation)
    files = OpenFiles(of: subvolume, id: frozen.subvolumeID)
    marks = StateMarks(subvolume, id: frozen.subvolumeID)
    incarnation = Incarnation(of: subvolume.fileSystem.id)
  }

  /// Proves that the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  public func liveCheck() throws(SourceError) {
    _ = try proof.check()
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    // A first check keeps bytes of a snapshot that was thawed long ago from being
    // read at all; the one after the read is the proof.
    try liveCheck()
    let count: Int
    let times: FileTimes
    do {
      (count, times) = try files.read(inode: inode, offset: offset, into: buffer)
    } catch {
      try liveCheck()
      throw .failed("\(error)")
    }
    try proof.check(times, ofInode: inode)
    try liveCheck()
    return count
  }

  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    for _ in 0..<Self.attempts {
      let transaction = try proof.check()
      let answer: MappingAnswer?
      do {
        answer = try self.answer(question, changeTransaction: transaction)
      } catch {
        // A snapshot that was deleted meanwhile fails in many ways.
        try liveCheck()
        throw .failed("\(error)")
      }
      if let answer, try proof.check() == transaction { return answer }
    }
    throw .unreachable("the snapshot \(subvolume.path) or the chunks of its volume keep changing")
  }
}

// MARK: One answer

extension BtrfsSource {
  /// A moment at which everything that an answer tells is looked up.
  private struct Moment {
    let view: VolumeView
    /// The subvolume's reloc tree, if it has one: its `last_snapshot`.
    let relocationFloor: UInt64?

    var floor: UInt64 { min(view.generation, relocationFloor ?? .max) }
  }

  /// In this order: see `Relocation.swift`.
  private func moment() throws(BtrfsError) -> Moment {
    let view = try watch.look()
    let floor = try Relocation.floor(ofSubvolume: id, subvolume.descriptor)
    return Moment(view: view, relocationFloor: floor)
  }

  /// `nil` when chunks keep changing.
  private func answer(
    _ question: MappingQuestion, changeTransaction: UInt64
  ) throws(BtrfsError) -> MappingAnswer? {
    let (moment, located) = try locate(question.portions)
    let known = known(question.known, at: moment)
    var changes = MappingAnswer.Changes.everything
    if let known, known.changeTransaction == changeTransaction {
      do throws(BtrfsError) {
        changes = try Changes.since(
          floor: known.floor, inSubvolume: id, subvolume.descriptor)
      } catch {
        // What lies in a leaf that cannot be read may have changed; so may all.
        guard error.isUnreadableBlock else { throw error }
      }
    }
    var volume: MappingAnswer.Volume?
    if needsVolume(question.known, known, moment.view) {
      guard let found = try durableVolume(moment.view) else { return nil }
      volume = found
    }
    let cursor = MappingCursor(
      generation: moment.view.generation, floor: moment.floor,
      changeTransaction: changeTransaction, incarnation: incarnation)
    return MappingAnswer(
      state: MappingState(
        configurationID: moment.view.configurationID, cursor: cursor.bytes,
        marks: marks.marks(of: moment.view)),
      changes: changes, volume: volume, behind: behind(question, known, moment.view),
      located: located)
  }

  /// The provider's own note of a state; `nil` when it is not one of this volume's
  /// past, or may be one of another past (`Incarnation`).
  private func known(_ state: MappingState, at moment: Moment) -> MappingCursor? {
    guard let cursor = MappingCursor(bytes: state.cursor), cursor.incarnation == incarnation,
      cursor.generation <= moment.view.generation, cursor.floor <= cursor.generation
    else { return nil }
    let fileSystem = subvolume.fileSystem.id
    let isOurs = state.configurationID.entries.allSatisfy {
      moment.view.isSeed($0.medium, showing: $0.bytes)
        || Superblock.generation(ofWitness: $0.bytes, fileSystem: fileSystem) == cursor.generation
    }
    return isOurs ? cursor : nil
  }

  /// Whether chunks or devices may differ from those of the known state.
  private func needsVolume(
    _ state: MappingState, _ known: MappingCursor?, _ view: VolumeView
  ) -> Bool {
    guard let known else { return true }
    return view.chunkRootGeneration > known.generation
      || state.configurationID.entries.map(\.medium) != view.configurationID.entries.map(\.medium)
  }

  /// Media that the backup host must not read from: those that lag for this host as
  /// well, and those that it found elsewhere or with an older witness than that of
  /// the state it knows.
  private func behind(
    _ question: MappingQuestion, _ known: MappingCursor?, _ view: VolumeView
  ) -> Set<MediumID> {
    let fileSystem = subvolume.fileSystem.id
    return question.found.entries.reduce(into: view.behind) { behind, entry in
      if view.isSeed(entry.medium, showing: entry.bytes) { return }
      let generation = Superblock.generation(ofWitness: entry.bytes, fileSystem: fileSystem)
      // What the backup host found was found before this host looked: a medium of
      // this volume cannot be newer than the view, and of one generation there is one
      // witness. A clone that was written elsewhere differs.
      var isInStep = false
      if let now = view.configurationID[entry.medium], let generation {
        isInStep =
          generation >= known?.generation ?? view.generation
          && Superblock.device(ofWitness: entry.bytes) == Superblock.device(ofWitness: now)
          && (generation < view.generation || entry.bytes == now)
      }
      if !isInStep { behind.insert(entry.medium) }
    }
  }
}

// MARK: Durability

extension BtrfsSource {
  /// Finds portions, and the moment under which what was found is durable.
  ///
  /// The kernel's trees may be ahead of what is committed: an extent is given out
  /// under generation G only if a crash that falls back to G keeps it. That is so
  /// when no leaf that was seen is newer than G, unless relocation may just have
  /// swapped older leaves in. Otherwise: commit, and look again. What is the same
  /// in both looks was made durable by the commit.
  private func locate(
    _ portions: [Portion]
  ) throws(BtrfsError) -> (Moment, [MappingAnswer.Located]) {
    var moment = try moment()
    guard !portions.isEmpty else { return (moment, []) }
    var findings = try find(portions)
    var same: [MappingAnswer.Located] = []
    for _ in 0..<Self.attempts {
      let running = try subvolume.runningGeneration()
      let mayBeSwapped = moment.relocationFloor != nil && running != moment.view.generation
      let isDurable = findings.allSatisfy { finding in
        finding.map { $0.newestLeaf <= moment.view.generation } ?? true
      }
      if isDurable, !mayBeSwapped { return (moment, findings.compactMap { $0?.located }) }
      try subvolume.descriptor.commitTransaction()
      moment = try self.moment()
      let again = try find(portions)
      same = zip(findings, again).compactMap { before, now in
        before?.located == now?.located ? now?.located : nil
      }
      if same.count == again.count { break }
      findings = again
    }
    return (moment, same)
  }

  private func find(_ portions: [Portion]) throws(BtrfsError) -> [Locator.Finding?] {
    // Chunks matter only when some may keep parity; only then they are read.
    let features = try IncompatibleFeatures.bits(of: subvolume.descriptor)
    let chunks =
      features & IncompatibleFeatures.parity == 0
      ? nil : try ChunkTree(of: subvolume.descriptor)
    let locator = Locator(
      subvolume: id, descriptor: subvolume.descriptor, chunks: chunks,
      sectorSize: subvolume.fileSystem.sectorSize)
    var findings: [Locator.Finding?] = []
    var extents = 0
    // Portions that are left out are asked for again.
    for portion in portions where extents < MappingAnswer.maximumExtents {
      let finding = try locator.find(portion)
      extents += finding?.located.extents.count ?? 0
      findings.append(finding)
    }
    return findings
  }

  /// Stores and media, durable under a view's generation; `nil` when they keep
  /// changing.
  private func durableVolume(_ view: VolumeView) throws(BtrfsError) -> MappingAnswer.Volume? {
    var tree = try ChunkTree(of: subvolume.descriptor)
    var isDurable = tree.newestLeaf <= view.generation
    for _ in 0..<Self.attempts where !isDurable {
      try subvolume.descriptor.commitTransaction()
      let again = try ChunkTree(of: subvolume.descriptor)
      isDurable = again.chunks == tree.chunks && again.devices == tree.devices
      tree = again
    }
    guard isDurable else { return nil }
    return MappingAnswer.Volume(
      map: try tree.storeMap(),
      media: view.media(of: tree, on: subvolume))
  }
}
