import BtrfsProvider
import Freezing
import LogicalVolumeProvider
import MountedTreeProvider
import StackProvider

extension Providers {
  /// What this floe freezes, in the order in which they are asked whether a name is theirs.
  /// A new kind of data set is a line here (docs/ADDING-A-PROVIDER.md).
  static let all = Providers([
    BtrfsSubvolumes.self,
    MountedLogicalVolumes.self,
    MountedTrees.self,
    VolumeStacks.self,
  ])
}
