import FrozenImage

/// How the nodes of a tree hang together while it is written: which inode number is
/// which node, and each directory's parent.
struct TreeLinks {
  /// Ascending.
  private let inodes: [UInt64]
  private let types: [FileType]
  /// Each directory's parent, once an entry led to it.
  private var parents: [UInt64]
  /// Where the last inode number was found: the next one is often near.
  private var last = 0

  init(inodes: [UInt64], types: [FileType]) {
    self.inodes = inodes
    self.types = types
    parents = Array(repeating: Format.none, count: inodes.count)
  }

  var count: Int { inodes.count }

  /// The node with an inode number.
  ///
  /// Inode numbers ascend by one at least, so two nodes lie at most as far apart as
  /// their numbers: that bounds the binary search.
  mutating func node(withInode inode: UInt64) -> Int? {
    guard last < inodes.count else { return nil }
    let here = inodes[last]
    let low: Int
    let high: Int
    if inode >= here {
      low = last
      high = last + Int(min(inode - here, UInt64(inodes.count - 1 - last))) + 1
    } else {
      low = last - Int(min(here - inode, UInt64(last)))
      high = last
    }
    let found = inodes[low..<high].partitioningIndex { $0 >= inode }
    guard found < high, inodes[found] == inode else { return nil }
    last = found
    return found
  }

  /// How many nodes have a smaller inode number.
  func position(of inode: UInt64) -> Int {
    inodes.partitioningIndex { $0 >= inode }
  }

  /// Makes a directory the top of its tree.
  mutating func setTop(_ node: Int) { parents[node] = UInt64(node) }

  /// Finds the node that an entry of a directory leads to, and what that is: an entry that
  /// tells another type is wrong, as the kernel takes it too.
  mutating func link(
    inode: UInt64, in directory: UInt64, name: @autoclosure () -> String
  ) throws(RepresentationWriterError) -> (node: UInt64, type: FileType) {
    guard let node = node(withInode: inode) else {
      throw refusal(directory, "its entry \(name()) leads to inode \(inode), which is not there")
    }
    guard types[node] == .directory else { return (UInt64(node), types[node]) }
    guard parents[node] == Format.none else {
      throw refusal(
        directory,
        parents[node] == UInt64(node)
          ? "its entry \(name()) leads to the top directory"
          : "its entry \(name()) is the second one for directory \(inode)")
    }
    parents[node] = directory
    return (UInt64(node), .directory)
  }

  private func refusal(_ directory: UInt64, _ problem: String) -> RepresentationWriterError {
    RepresentationWriterError("directory \(inodes[Int(directory)])", problem)
  }

  /// The parent of a node; `Format.none` for what is not a directory.
  func parent(of node: Int) -> UInt64 { parents[node] }

  func isDirectory(_ node: Int) -> Bool { types[node] == .directory }

  /// How far below the top each directory lies; 0 for other nodes.
  ///
  /// - Throws: when a directory is not reached from the top.
  func depths() throws(RepresentationWriterError) -> [UInt32] {
    // One more than the depth, so that 0 says "not known yet".
    var depths = [UInt32](repeating: 0, count: count)
    let underWay = UInt32.max
    var path: [Int] = []
    for start in 0..<count where types[start] == .directory {
      path.removeAll(keepingCapacity: true)
      var node = start
      while depths[node] == 0, parents[node] != UInt64(node) {
        guard parents[node] != Format.none else {
          throw refusal(UInt64(node), "no entry leads to it")
        }
        depths[node] = underWay
        path.append(node)
        node = Int(parents[node])
      }
      guard depths[node] != underWay else { throw refusal(UInt64(node), "it lies below itself") }
      var depth = max(depths[node], 1)
      depths[node] = depth
      for node in path.reversed() {
        depth += 1
        depths[node] = depth
      }
    }
    for node in 0..<count where depths[node] > 0 { depths[node] -= 1 }
    return depths
  }
}
