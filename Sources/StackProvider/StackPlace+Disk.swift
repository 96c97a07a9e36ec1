import BlockMappers
import DataSets
import FrozenImage
import VolumeLayers

extension StackPlace {
  /// The disk at the start of a stack: the layer itself, or what a disk image on it shows.
  ///
  /// A guest that has a raw disk may write a qcow2 header to its start, which names files
  /// of the host. So what looks like qcow2 is taken as that only when the name of its file
  /// or the user says so, and on a device only when the user does.
  ///
  /// - Parameter path: of the file or device; `nil` for a logical volume that was named by
  ///   its group.
  /// - Throws: `StackError`.
  func disk(on layer: Layer, at path: String?) throws(StackError) -> Layer {
    guard format != .raw else { return layer }
    let title = path ?? layer.title
    guard try Qcow2.begins(layer) else {
      guard format == nil else { throw StackError(.unsupported, "\(title) is no qcow2 image") }
      return layer
    }
    let isNamedSo = layer.file != nil && path?.hasSuffix(".qcow2") == true
    guard format == .qcow2 || isNamedSo, let image = try Qcow2.find(on: layer) else {
      let why = layer.file == nil ? "is no file of such a name" : "is not named so"
      throw StackError(
        .invalid,
        "\(title) begins as a qcow2 image does, but \(why): say --format qcow2 if it is one, or "
          + "--format raw when its bytes are a disk's own")
    }
    let allowed = AllowedFiles(of: layer, named: backing ?? []) { device throws(StackError) in
      try StackFinder.layer(ofDevice: device)
    }
    return Layer(try image.map(at: path, allowed: allowed))
  }
}
