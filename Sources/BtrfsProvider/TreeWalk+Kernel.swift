import FrozenImage

/// What only the kernel can tell of a file's bytes.
extension TreeWalk {
  /// Bytes from one look to the next; the kernel reads ahead from one anyway.
  private static let probeDistance = 65_536

  /// What this floe does not know, or whose checksums cannot be read, the kernel may know; if
  /// not, it is said now.
  ///
  /// - Parameter looksAtAll: whether parts of it may be readable and others not.
  func leftToTheKernel(
    _ offset: UInt64, _ length: UInt64, of attributes: NodeAttributes, _ place: String,
    looksAtAll: Bool = true
  ) -> Extent {
    let end = min(offset + length, max(attributes.size, offset + 1))
    let distance = looksAtAll ? Self.probeDistance : .max
    let probes = stride(from: 0, to: Int(clamping: end - offset), by: distance)
    let refusals = probes.map { kernelRefusal(of: attributes, at: offset + UInt64($0)) }
    guard let error = refusals.lazy.compactMap({ $0 }).first else {
      return single(offset, length, .encoded)
    }
    let reason = "\(place): \(error)"
    guard refusals.contains(where: { $0 == nil }) else {
      return .unreadable(offset..<offset + length, reason: reason)
    }
    return .partlyUnreadable(
      FileExtent(offset: offset, length: length, source: .encoded), reason: reason)
  }

  /// Why the kernel cannot read a byte of a file; `nil` when it can.
  private func kernelRefusal(of attributes: NodeAttributes, at offset: UInt64) -> BtrfsError? {
    guard attributes.type == .regular else { return nil }
    var byte: UInt8 = 0
    do throws(BtrfsError) {
      _ = try withUnsafeMutableBytes(of: &byte) { buffer throws(BtrfsError) in
        try files.read(inode: attributes.inode, offset: offset, into: buffer)
      }
      return nil
    } catch {
      return error
    }
  }

  /// A compressed inline extent's bytes, through the mounted snapshot.
  func inlineBytes(
    _ length: UInt64, of attributes: NodeAttributes
  ) throws(BtrfsError) -> [UInt8] {
    guard attributes.type == .regular, length <= 1 << 20 else {
      throw BtrfsError(
        .malformed,
        "inode \(attributes.inode) of \(volume.subvolume.path) has a malformed inline extent")
    }
    let room = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(min(length, attributes.size)), alignment: 1)
    defer { room.deallocate() }
    let (count, times) = try files.read(inode: attributes.inode, offset: 0, into: room)
    guard times == FileTimes(attributes) else {
      throw BtrfsError(
        .inUse,
        "inode \(attributes.inode) of \(volume.subvolume.path) was changed while it was described")
    }
    return Array(room.prefix(count))
  }
}
