public import DataSets
public import FrozenImage
public import LogicalRepresentation
public import VolumeLayers

extension MountedTree {
  /// Writes the tree's representation.
  ///
  /// - Parameters:
  ///   - label: what the image is known by.
  ///   - stack: what `device` lies on, with this tree's `identity` and `witness`.
  ///   - progress: called now and then.
  /// - Returns: the media that the image lies on.
  /// - Throws: as `describe(into:deviceLayer:progress:)`, and when the device moved
  ///   meanwhile.
  @discardableResult
  public func describe(
    _ label: FrozenImageLabel, on stack: Stack, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    let volume = try volume(on: stack)
    var writer = try RepresentationWriter(
      image: label.description(provider: image.fileSystem, statistics: statistics),
      volumes: [volume], scratch: scratch, showsIdentities: image.promise == .reflinkCopy)
    try describe(into: &writer, deviceLayer: stack.top, progress: progress)
    guard try stack.configurationID() == volume.state.configurationID else {
      throw StackError(
        .inUse, "the device \(device) below \(image.path) moved while it was described")
    }
    try writer.finish(rootInode: topInode, rootName: label.name)
    return volume.media
  }
}
