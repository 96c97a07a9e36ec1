package import DataSets
import FrozenImage

/// What the witness of layers showed at one moment: whether they are still as they were.
package struct LiveBase: Sendable {
  /// What the windows showed, one after the other.
  package let bytes: [UInt8]
  private let windows: [(layer: Layer, window: ProbeWindow)]

  /// - Throws: `StackError` when a layer cannot be read, or is kept in a disk image: that
  ///   gives bytes their place when they are written, which its witness does not show.
  package init(of layers: [Layer]) throws(StackError) {
    if let image = layers.first(where: { !$0.isSolid || $0.isAllocated }) {
      throw StackError(
        .unsupported,
        "\(image.title) is a part of a snapshot, and is kept in a disk image that gives its bytes "
          + "new places (qcow2): what is written later would not be seen")
    }
    windows = layers.reduce(into: []) { windows, layer in layer.addWitnesses(to: &windows) }
    bytes = try Self.counted(windows)
  }

  private static func counted(
    _ windows: [(layer: Layer, window: ProbeWindow)]
  ) throws(StackError) -> [UInt8] {
    var bytes: [UInt8] = []
    for (layer, window) in windows { bytes += try layer.counted([window]) }
    return bytes
  }

  /// - Parameter title: of what lies on the layers.
  /// - Throws: `StackError` when they are not as they were.
  package func requirePresent(_ title: String) throws(StackError) {
    guard try Self.counted(windows) == bytes else {
      throw StackError(.inUse, "what the \(title) lies on was changed meanwhile")
    }
  }
}

extension Layer {
  /// Whether it, or a layer below, is a disk image whose writer decides where bytes lie.
  fileprivate var isAllocated: Bool {
    guard case .mapped(let map) = substance else { return false }
    return map.allocates || map.lower.contains(where: \.isAllocated)
  }

  /// The witness of the layer and of all below it: what lies further down may move as well.
  /// A layer that moves all the time validates itself.
  fileprivate func addWitnesses(to windows: inout [(layer: Layer, window: ProbeWindow)]) {
    guard case .mapped(let map) = substance, map.live == nil else { return }
    for window in map.witness {
      let layer = map.lower[window.layer]
      // Volumes of one group share theirs.
      if !windows.contains(where: { $0.layer === layer && $0.window.isSame(as: window) }) {
        windows.append((layer, window))
      }
    }
    for layer in map.lower { layer.addWitnesses(to: &windows) }
  }
}

extension ProbeWindow {
  fileprivate func isSame(as other: ProbeWindow) -> Bool {
    offset == other.offset && length == other.length && fragments == other.fragments
  }
}
