package import DataSets
package import FrozenImage
import ImageReader
import VolumeLayers

/// What floe reads of a file system's superblock.
///
/// ext2/3/4: the 1024 bytes at offset 1024, little-endian (fs/ext4/ext4.h,
/// `struct ext4_super_block`). XFS: the first sector, big-endian
/// (fs/xfs/libxfs/xfs_format.h, `struct xfs_dsb`).
package struct MountedSuperblock: Sendable {
  /// Where it lies: bytes from the start of the device.
  package static func window(of kind: MountedKind) -> (offset: UInt64, length: Int) {
    kind.isXFS ? (0, 512) : (1024, 1024)
  }

  /// What never changes while the file system is the same one: magic and UUID.
  package static func identity(of kind: MountedKind) -> [Probe.Fragment] {
    kind.isXFS
      ? [Probe.Fragment(offset: 0, length: 4), Probe.Fragment(offset: 32, length: 16)]
      : [Probe.Fragment(offset: 56, length: 2), Probe.Fragment(offset: 104, length: 16)]
  }

  package let id: UniqueIdentifier
  /// Often empty.
  package let label: String
  /// XFS: whether files may share blocks (`XFS_SB_FEAT_RO_COMPAT_REFLINK`).
  package let hasReflinks: Bool
  /// Of all bytes: another one once anything in them changed.
  package let digest: UniqueIdentifier

  /// `nil` when the bytes are no superblock of this kind.
  package init?(_ bytes: [UInt8], kind: MountedKind) {
    guard bytes.count == Self.window(of: kind).length else { return nil }
    let magic: [UInt8] = kind.isXFS ? Array("XFSB".utf8) : [0x53, 0xEF]
    let start = kind.isXFS ? 0 : 56
    let uuid = kind.isXFS ? 32 : 104
    let name = kind.isXFS ? 108..<120 : 120..<136
    guard bytes[start..<start + magic.count].elementsEqual(magic),
      let id = UniqueIdentifier(bytes: bytes[uuid..<uuid + 16])
    else { return nil }
    self.id = id
    label = String(decoding: bytes[name].prefix { $0 != 0 }, as: UTF8.self)
    // sb_features_ro_compat, a big-endian number at 212; version 5 of the low four bits
    // of sb_versionnum at 100.
    hasReflinks = kind.isXFS && bytes[101] & 0xF == 5 && bytes[215] & 0x4 != 0
    digest = UniqueIdentifier(naming: bytes)
  }

  /// Reads it from a device or a layer.
  package init(
    of title: String, kind: MountedKind,
    read: (UInt64, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws(StackError) {
    let window = Self.window(of: kind)
    var bytes = [UInt8](repeating: 0, count: window.length)
    do {
      try bytes.withUnsafeMutableBytes { try read(window.offset, $0) }
    } catch {
      throw StackError(error)
    }
    guard let found = MountedSuperblock(bytes, kind: kind) else {
      throw StackError(.unsupported, "\(title) has no superblock of \(kind.rawValue)")
    }
    self = found
  }
}
