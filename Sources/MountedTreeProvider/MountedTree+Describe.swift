import CFileMap
public import DataSets
import FileTrees
import FrozenImage
import Glibc
public import LogicalRepresentation
import Media
import SystemPackage
public import VolumeLayers

extension MountedTree {
  /// Writes the tree's nodes; the caller completes the representation, whose top
  /// directory is `topInode`.
  ///
  /// - Parameters:
  ///   - deviceLayer: the top layer of the stack that `device` is.
  ///   - progress: called now and then.
  /// - Throws: as `MountedTreeWalk.describe`, and `StackError` when the device is another one
  ///   or the tree does not rest any more.
  public func describe(
    into writer: inout RepresentationWriter, deviceLayer: Layer,
    progress: (FreezeProgress) -> Void
  ) throws {
    try requireSameDevice(deviceLayer)
    // What was written before the promise may be in the page cache only.
    guard cfilemap_sync(mount.top.rawValue) == 0 else {
      throw StackError(cannot: "write \(image.path) to its device", Errno(rawValue: errno))
    }
    try walk.describe(into: &writer, on: deviceLayer, progress: progress)
    try liveCheck()
  }

  var walk: MountedTreeWalk {
    let rest: MountedTreeWalk.Rest =
      switch image.promise {
      case .readOnly: .readOnly
      case .assumed: .promised
      case .reflinkCopy: .copy
      }
    return MountedTreeWalk(mount, top: image.top, path: image.path, rest: rest)
  }

  /// Reading another device than the one that the addresses are of would give another
  /// tree's bytes.
  private func requireSameDevice(_ layer: Layer) throws(StackError) {
    let found = try MountedSuperblock(of: layer.title, kind: kind) { offset, buffer in
      try layer.read(into: buffer, at: offset)
    }
    guard found.id == fileSystemID, layer.size >= medium.size else {
      throw StackError(
        .medium, "\(layer.title) is not the device \(device) that \(image.path) is on")
    }
  }
}
