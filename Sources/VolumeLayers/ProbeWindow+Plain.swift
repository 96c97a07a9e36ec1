import FrozenImage

extension ProbeWindow {
  /// Whether the bytes of a window are kept one to one on a medium, where a backup host
  /// can read them: in a compressed cluster of a disk image they are not.
  package func isPlain(on layer: Layer) -> Bool {
    layer.fileExtents(at: 0, of: offset..<offset + UInt64(length), store: Stack.topStore)
      .allSatisfy { if case .stored = $0.source { true } else { false } }
  }
}
