import DataSets
import FrozenImage
import LogicalRepresentation

/// Walks a file system's tree and writes what directories lead to.
///
/// The representation wants nodes in the order of their inode numbers, and inodes that
/// no directory names are not to be shown (the file system's own files, and what was
/// deleted when it was unmounted). So directories are read twice: first to mark what
/// they lead to, then when their turn comes.
///
/// What is damaged costs no more than itself: it is marked as unreadable. What the two
/// passes take for entries is decided by the first one, so that every directory that is
/// written has one entry.
struct ExtTree {
  /// `EXT4_ROOT_INO`.
  static let root: UInt32 = 2

  let volume: ExtVolume
  private(set) var reached = InodeSet()
  /// For each directory the one whose entry led to it first. Only that entry counts: with
  /// another one the tree would be none.
  private(set) var parents: [UInt32: UInt32] = [:]
  /// The directory that each block of directories belongs to. One that two directories
  /// share, or one has twice, would let a small file system have entries without end.
  private(set) var directoryBlocks: [UInt64: UInt32] = [:]
  var progress = FreezeProgress()

  init(_ volume: ExtVolume) {
    self.volume = volume
  }

  /// Writes all nodes.
  mutating func write(
    into writer: inout RepresentationWriter, _ report: (FreezeProgress) -> Void
  ) throws {
    mark()
    var allowances = Allowances(
      directories: ExtBlockAllowance(volume), files: ExtBlockAllowance(volume))
    for piece in reached.pieceNumbers {
      for number in reached.members(ofPiece: piece) {
        try write(number, into: &writer, &allowances)
        if progress.nodes.isMultiple(of: 1024) { report(progress) }
      }
    }
    report(progress)
  }

  /// Apart, so that files with more blocks than there are take no entries away.
  struct Allowances {
    var directories: ExtBlockAllowance
    var files: ExtBlockAllowance
    /// How many damaged files may still have what they took given back, so that the others
    /// do not pay for them, and a malicious image cannot make the walk endless.
    var pardons = 64
  }

  /// Marks every inode that directories lead to, level by level.
  private mutating func mark() {
    var allowance = ExtBlockAllowance(volume)
    _ = reached.insert(Self.root)
    parents[Self.root] = Self.root
    var level = [Self.root]
    while !level.isEmpty {
      var next: [UInt32] = []
      for number in level { mark(number, &next, &allowance) }
      // Ascending, as inode tables and directories mostly lie.
      level = next.sorted()
    }
  }

  /// Marks what one directory leads to, and collects the directories among it. What is
  /// wrong with it is found again, and told, when it is written.
  private mutating func mark(
    _ number: UInt32, _ next: inout [UInt32], _ allowance: inout ExtBlockAllowance
  ) {
    guard let directory = try? volume.inode(number), problem(of: directory) == nil,
      directory.attributes.type == .directory, !directory.isEncrypted
    else { return }
    let volume = volume
    var seen: Set<UInt64> = []
    try? volume.forEachEntry(of: directory, &allowance) { block in
      guard directoryBlocks[block] == nil, seen.insert(block).inserted else { return false }
      directoryBlocks[block] = number
      return true
    } problem: { _ in
    } _: { entry in
      guard isMember(entry), reached.insert(entry.inode) else { return }
      guard type(of: entry) == .directory else { return }
      parents[entry.inode] = number
      next.append(entry.inode)
    }
  }

  /// Whether an entry leads to an inode that a directory may lead to.
  func isMember(_ entry: ExtEntry) -> Bool {
    (entry.inode >= volume.superblock.firstInode || entry.inode == Self.root)
      && entry.inode <= volume.superblock.inodes
  }

  private func type(of entry: ExtEntry) -> FileType? {
    entry.type ?? (try? volume.inode(entry.inode)).flatMap { FileType(mode: $0.attributes.mode) }
  }

  /// Why an inode cannot be a node of the tree; `nil` when it can.
  func problem(of inode: ExtInode) -> String? {
    if inode.isFree {
      return "a directory of \(volume.title) leads to the deleted inode \(inode.number): run e2fsck"
    }
    if let problem = inode.attributes.problem {
      return "inode \(inode.number) of \(volume.title): \(problem): run e2fsck"
    }
    if inode.attributes.type == .directory, parents[inode.number] == nil {
      return
        "inode \(inode.number) of \(volume.title) is a directory, and its entry says something "
        + "else: run e2fsck"
    }
    return nil
  }
}
