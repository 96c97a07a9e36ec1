package import DataSets
import FrozenImage

/// What the witness of layers showed at one moment: whether they are still as they were.
package struct LiveBase: Sendable {
  /// What the windows showed, one after the other.
  package let bytes: [UInt8]
  private let windows: [(layer: Layer, window: ProbeWindow)]

  /// - Throws: `StackError` when a layer cannot be read.
  package init(of layers: [Layer]) throws(StackError) {
    var windows: [(Layer, ProbeWindow)] = []
    for case .mapped(let map) in layers.map(\.substance) {
      for window in map.witness {
        let layer = map.lower[window.layer]
        // Volumes of one group share theirs.
        if !windows.contains(where: { $0.0 === layer && $0.1.isSame(as: window) }) {
          windows.append((layer, window))
        }
      }
    }
    self.windows = windows
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

extension ProbeWindow {
  fileprivate func isSame(as other: ProbeWindow) -> Bool {
    offset == other.offset && length == other.length && fragments == other.fragments
  }
}
