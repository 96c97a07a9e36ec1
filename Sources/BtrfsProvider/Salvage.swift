import FrozenImage

/// A subvolume's tree that is not whole cannot be described in one walk: a directory that is
/// lost may have children that came before it. So the walk ends, and begins anew once it is
/// known what there is.
struct TreeDamage: CodedError {
  let code = ErrorCode.malformed
  let description = "the snapshot's tree is damaged, and was damaged anew while it was described"
}

/// What there is in a damaged subvolume, found by looking through its tree once: which
/// inodes a path leads to, and which of those are lost.
///
/// Memory: some 80 bytes for each inode with its entry, for as long as the walk takes.
struct Salvage {
  /// An inode that an entry leads to and that has no item, with its type as the entry says.
  struct Lost {
    let inode: UInt64
    let type: FileType
    /// `nil` when its item lay in no gap.
    let gap: TreeGap?
  }

  let gaps: [TreeGap]
  /// In ascending order.
  let lost: [Lost]
  /// In ascending order: the inodes that a path leads to, the top directory first.
  private let reached: [UInt64]
  /// Each directory's parent, by the directory's index in `reached`.
  private let parents: [UInt64: UInt64]

  private struct Edge {
    let parent: UInt64
    let child: UInt64
    let type: FileType
  }

  init(_ subvolume: OpenSubvolume, id: UInt64) throws(BtrfsError) {
    var gaps: [TreeGap] = []
    var inodes: [(number: UInt64, isDirectory: Bool)] = []
    var edges: [Edge] = []
    var search = TreeSearch(of: subvolume.descriptor, capacity: 256 << 10)
    var start = InodeNumbers.allKeys.lowerBound
    while true {
      do throws(BtrfsError) {
        try search.scan(id, start...InodeNumbers.allKeys.upperBound) { item throws(BtrfsError) in
          start = item.key.next ?? item.key
          Self.take(item, subvolume, &inodes, &edges)
          return true
        }
        break
      } catch {
        guard error.isUnreadableBlock else { throw error }
        let gap = try GapFinder(in: subvolume, id: id).gap(from: start, failure: error)
        gaps.append(gap)
        guard let end = gap.end else { break }
        start = end
      }
    }
    self.init(gaps: gaps, inodes: inodes, edges: edges)
  }

  private static func take(
    _ item: TreeItem, _ subvolume: OpenSubvolume,
    _ inodes: inout [(number: UInt64, isDirectory: Bool)], _ edges: inout [Edge]
  ) {
    if item.key.type == ItemType.inode {
      let inode = InodeItem(
        item.payload, inode: item.key.object, sectorSize: subvolume.fileSystem.sectorSize)
      guard let inode, inode.links > 0 else { return }
      // Of an inode with a problem nothing but its name is told.
      let isDirectory = inode.attributes.type == .directory && inode.attributes.problem == nil
      inodes.append((item.key.object, isDirectory))
    } else if item.key.type == ItemType.directoryIndex {
      for entry in DirectoryItem.all(in: item.payload).items where !entry.isSubvolume {
        edges.append(
          Edge(parent: item.key.object, child: entry.target, type: entry.type ?? .regular))
      }
    }
  }

  /// Follows the entries from the top directory down. They come in ascending order of their
  /// directories, as the inodes do.
  private init(
    gaps: [TreeGap], inodes: [(number: UInt64, isDirectory: Bool)], edges: [Edge]
  ) {
    func inode(_ number: UInt64) -> Bool? {
      let index = inodes.partitioningIndex { $0.number >= number }
      return index < inodes.count && inodes[index].number == number
        ? inodes[index].isDirectory : nil
    }
    var reached: Set<UInt64> = [InodeNumbers.root]
    var parents = [InodeNumbers.root: InodeNumbers.root]
    var lost: [UInt64: FileType] = [:]
    var directories = inode(InodeNumbers.root) == true ? [InodeNumbers.root] : []
    while let directory = directories.popLast() {
      var index = edges.partitioningIndex { $0.parent >= directory }
      while index < edges.count, edges[index].parent == directory {
        let edge = edges[index]
        index += 1
        guard let isDirectory = inode(edge.child) else {
          lost[edge.child] = lost[edge.child] ?? edge.type
          if edge.type == .directory { parents[edge.child] = parents[edge.child] ?? directory }
          continue
        }
        guard reached.insert(edge.child).inserted, isDirectory else { continue }
        parents[edge.child] = directory
        directories.append(edge.child)
      }
    }
    self.gaps = gaps
    self.parents = parents
    self.reached = reached.sorted()
    self.lost = lost.sorted { $0.key < $1.key }.map { inode, type in
      let key = TreeKey(object: inode, type: ItemType.inode, offset: 0)
      return Lost(inode: inode, type: type, gap: gaps.first { $0.holds(key) })
    }
  }

  /// Whether a path leads to an inode.
  func reaches(_ inode: UInt64) -> Bool {
    let index = reached.partitioningIndex { $0 >= inode }
    return index < reached.count && reached[index] == inode
  }

  /// Whether an entry of a directory may lead to an inode: a directory has one path only.
  func mayLead(from directory: UInt64, to inode: UInt64) -> Bool {
    parents[inode].map { $0 == directory && inode != directory } ?? true
  }
}
