public import FrozenImage
public import ImageReader

extension Medium {
  /// Reads a probe's window and gives the bytes that count.
  ///
  /// - Throws: `MediumError` when the window cannot be read.
  public func extract(_ probe: Probe) throws(MediumError) -> [UInt8] {
    let window = UnsafeMutableRawBufferPointer.allocate(byteCount: probe.length, alignment: 4096)
    defer { window.deallocate() }
    try read(into: window, at: probe.offset)
    return probe.extract(from: UnsafeRawBufferPointer(window)) ?? []
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
        path: path, offset: description.identity.offset,
        reason: "it does not carry the identity of \(description.label) (\(description.id))")
    }
  }
}
