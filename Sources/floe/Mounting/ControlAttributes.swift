import FrozenFS
import FrozenImage
import ImageReader
import LinuxIO

/// Answers `floe status` and `floe explain` for a mount.
struct ControlAttributes: MountControl {
  let reader: BlockingReader
  let root: NodeIndex
  let address: String
  /// Whether the session with the production host is alive.
  let isReachable: @Sendable () -> Bool

  /// The name under which the root of a mount has its status.
  static let status = "floe.status"
  /// The name under which a file has its explanation, followed by the offset.
  static let explain = "floe.explain."

  func attribute(_ name: String, of node: NodeIndex) -> [UInt8]? {
    if name == Self.status, node == root { return JSON.bytes(of: statusReport) }
    guard name.hasPrefix(Self.explain), let offset = UInt64(name.dropFirst(Self.explain.count)),
      let inode = (try? reader.representation.attributes(of: node))?.inode,
      let place = try? reader.place(ofByte: offset, in: node)
    else { return nil }
    return JSON.bytes(of: ExplainReport(place, inode: inode, offset: offset))
  }

  private var statusReport: StatusReport {
    StatusReport(
      image: reader.representation.image.name, imageID: "\(reader.representation.image.id)",
      address: address, isReachable: isReachable(), status: reader.status,
      paths: { status in status.media.map { reader.media[$0.id]?.path } })
  }
}
