import FrozenFS
import FrozenImage
import ImageAccess
import ImageReader
import LogicalRepresentation
import VerifiedReading

/// Answers `floe status` and `floe explain` for a mount.
struct ControlAttributes: MountControl {
  let reader: BlockingReader
  let root: NodeIndex
  let address: String
  /// How often who answered.
  let tally: AnswerTally
  /// Asks the production host whether the image is still frozen; `nil` when it is.
  let liveCheck: @Sendable () -> SourceError?
  /// Asks the production host how full the snapshot is.
  let fill: @Sendable () -> SnapshotFill?

  /// The name under which the root of a mount has its status.
  static let status = "floe.status"
  /// The name under which a file has its explanation, followed by the offset.
  static let explain = "floe.explain."

  func attribute(_ name: String, of node: NodeIndex) -> [UInt8]? {
    if name == Self.status, node == root { return JSON.bytes(of: statusReport) }
    guard name.hasPrefix(Self.explain), let offset = UInt64(name.dropFirst(Self.explain.count))
    else { return nil }
    return explanation(ofByte: offset, in: node)
  }

  private func explanation(ofByte offset: UInt64, in node: NodeIndex) -> [UInt8] {
    do {
      let attributes = try reader.representation.attributes(of: node)
      guard attributes.type == .regular else {
        return JSON.bytes(of: ExplainProblem(problem: "it is not a regular file"))
      }
      guard let place = try reader.place(ofByte: offset, in: node) else {
        return JSON.bytes(of: ExplainProblem(problem: "it has only \(attributes.size) bytes"))
      }
      return JSON.bytes(of: ExplainReport(place, inode: attributes.inode, offset: offset))
    } catch {
      return JSON.bytes(of: ExplainProblem(problem: "\(error)"))
    }
  }

  private var statusReport: StatusReport {
    let live = liveCheck()
    return StatusReport(
      image: reader.representation.image.name, imageID: "\(reader.representation.image.id)",
      address: address, live: live, fill: live == nil ? fill() : nil, answers: tally.counts,
      status: reader.status,
      unreadable: UnreadableList(of: reader.representation, limit: UnreadableList.shownLines),
      paths: { status in status.media.map { reader.media[$0.id]?.path } })
  }
}
