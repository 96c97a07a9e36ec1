public import FrozenImage
public import ImageReader

extension Medium {
  /// Reads a probe's windows and gives the bytes that count.
  ///
  /// - Throws: `MediumError` when a window cannot be read.
  public func extract(_ probe: Probe) throws(MediumError) -> [UInt8] {
    var counted: [UInt8] = []
    for window in probe.windows {
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: window.length, alignment: 4096)
      defer { bytes.deallocate() }
      try read(into: bytes, at: window.offset)
      counted += window.extract(from: UnsafeRawBufferPointer(bytes)) ?? []
    }
    return counted
  }

  /// Checks that this is the medium that a description names.
  ///
  /// - Throws: `MediumError` with a sentence that says what was found instead.
  public func verifyIdentity(of description: MediumDescription) throws(MediumError) {
    guard size >= description.size else {
      throw MediumError(
        path: path, offset: 0,
        reason: "it holds \(size) bytes, and \(description.label) needs \(description.size)")
    }
    guard try extract(description.identity) == description.identityBytes else {
      throw MediumError(
        path: path, offset: description.identity.windows.first?.offset ?? 0,
        reason: "it does not carry the identity of \(description.label) (\(description.id))")
    }
  }
}
