import FrozenImage
import Glibc
package import LogicalRepresentation
package import SystemPackage

/// What a copy is the copy of, kept with it in an extended attribute: the original's inode
/// number, links, change time, birth time and inode flags.
///
/// A copy outlives the process that made it, and is described from what lies on the media.
package enum OriginalMark {
  /// In a namespace that only root can write.
  static let name = "trusted.floe.original".nameBytes
  /// Bytes of the value: numbers in little-endian order.
  private static let size = 44
  private static let noTime = UInt32.max

  /// What a copy is the copy of.
  ///
  /// - Returns: `nil` when the copy does not tell.
  package static func identity(of file: FileDescriptor) -> NodeIdentity? {
    guard let value = try? ExtendedAttributeList(of: file).value(of: name), value.count == size
    else { return nil }
    return value.withUnsafeBytes { bytes in
      func number<N: FixedWidthInteger>(_ offset: Int) -> N {
        N(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: N.self))
      }
      let fraction: UInt32 = number(40)
      return NodeIdentity(
        inode: number(0), links: number(32),
        changed: Timestamp(seconds: number(16), nanoseconds: number(36)),
        created: fraction == noTime
          ? nil : Timestamp(seconds: number(24), nanoseconds: fraction),
        inodeFlags: number(8))
    }
  }

  /// Notes with a copy what it is the copy of.
  package static func set(_ identity: NodeIdentity, of copy: FileDescriptor) throws(Errno) {
    var value: [UInt8] = []
    func put(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { value += $0 }
    }
    put(identity.inode)
    put(identity.inodeFlags)
    put(identity.changed.seconds)
    put(identity.created?.seconds ?? 0)
    put(identity.links)
    put(identity.changed.nanoseconds)
    put(identity.created?.nanoseconds ?? noTime)
    try ExtendedAttributeList(of: copy).set(name, to: value)
  }
}
