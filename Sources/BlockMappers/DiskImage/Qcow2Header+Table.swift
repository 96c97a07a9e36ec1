import DataSets
import FrozenImage
import VolumeLayers

extension Qcow2Header {
  /// Most bytes of an L1 table that QEMU reads.
  private static let maximumTableLength: UInt64 = 32 << 20

  /// The entries of the active L1 table that the disk's size needs. (There may be more:
  /// an internal snapshot of a running guest lies behind the disk's end.)
  ///
  /// - Throws: `StackError` when the table is too small for the disk or lies outside the
  ///   image.
  func activeTable(of image: Layer) throws(StackError) -> [UInt64] {
    let needed = size / tableSpan + (size % tableSpan == 0 ? 0 : 1)
    guard needed <= UInt64(tableCount), needed * 8 <= Self.maximumTableLength else {
      throw StackError(
        .malformed,
        "\(image.title) has a damaged qcow2 header: an L1 table of \(tableCount) entries for a disk of \(size) bytes"
      )
    }
    guard needed > 0 else { return [] }
    guard tableOffset % clusterSize == 0, tableOffset <= image.size,
      needed * 8 <= image.size - tableOffset
    else {
      throw StackError(
        .malformed,
        "\(image.title) has a damaged qcow2 header: the L1 table at byte \(tableOffset) lies outside it"
      )
    }
    let bytes = try image.bytes(at: tableOffset, count: Int(needed) * 8)
    return bytes.withUnsafeBytes { bytes in
      (0..<Int(needed)).map {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
      }
    }
  }

  /// What of the header an image at rest keeps: version, cluster size, the disk's size,
  /// where the tables lie, and the name of its backing file. The format keeps no unique
  /// identifier, so samples of its data belong to its identity as well
  /// (`ClusterSamples`).
  func identity(on image: Layer) -> [ProbeWindow] {
    var windows = [
      ProbeWindow(
        layer: 0, offset: 0, length: 72, fragments: [Probe.Fragment(offset: 0, length: 60)])
    ]
    if let place = backingFilePlace {
      windows.append(ProbeWindow(layer: 0, offset: place.lowerBound, length: place.count))
    }
    return windows.filter { $0.isPlain(on: image) }
  }

  /// Most bytes of the L1 table that the witness takes in: all of it for a disk of 1 TiB
  /// in clusters of 64 KiB.
  private static let witnessedTableLength: UInt64 = 16 << 10

  /// The header's fields and the L1 table as far as it fits.
  ///
  /// They show that the image was opened by a writer that marks it dirty, resized, given
  /// another backing file or a snapshot, or that a part of its disk (512 MiB in clusters
  /// of 64 KiB) was written for the first time. They do *not* show a write to a cluster
  /// that an existing L2 table maps or takes in: an image that a running guest writes in
  /// place is not frozen, and only a stack above it (a file system's superblock) tells.
  func witness(on image: Layer) -> [ProbeWindow] {
    var windows = [ProbeWindow(layer: 0, offset: 0, length: length)]
    let tableLength = min(UInt64(tableCount) * 8, Self.witnessedTableLength)
    if tableLength > 0, tableOffset <= image.size, tableLength <= image.size - tableOffset {
      windows.append(ProbeWindow(layer: 0, offset: tableOffset, length: Int(tableLength)))
    }
    return windows
  }
}
