import CFuse3
import FrozenImage

/// Maps a tree's nodes to FUSE node numbers and back.
///
/// FUSE calls the root 1 and knows no 0, a tree numbers its nodes from 0 and may
/// have its root anywhere. So a node's number is its index plus one, except that
/// the root and the node of index 0 change places: a bijection without a table.
struct NodeNumbers: Sendable {
  let root: NodeIndex

  /// The FUSE number of a node.
  func number(of node: NodeIndex) -> fuse_ino_t {
    if node == root { return fuse_ino_t(FUSE_ROOT_ID) }
    if node.rawValue == 0 { return root.rawValue &+ 1 }
    return node.rawValue &+ 1
  }

  /// The node with a FUSE number; for a number that no node has, an index that the
  /// tree refuses.
  func node(of number: fuse_ino_t) -> NodeIndex {
    if number == fuse_ino_t(FUSE_ROOT_ID) { return root }
    if number == root.rawValue &+ 1 { return NodeIndex(rawValue: 0) }
    return NodeIndex(rawValue: number &- 1)
  }
}
