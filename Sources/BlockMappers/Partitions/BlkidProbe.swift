package import CBlkid
import CLinuxIO
package import DataSets
import FrozenImage
import Glibc
import HostSystem
import Media
import SystemPackage
package import VolumeLayers

/// libblkid's low-level probe of a layer's bytes.
///
/// libblkid reads from a file descriptor, through the page cache. A layer that lies in one
/// piece on a medium of this host is given as that medium, opened once more, with a range.
/// Of any other layer, and of one on a medium that another host may write, a sparse file in
/// memory is made, as large as the layer, which holds the places where formats keep their
/// signatures and reads as zeros elsewhere.
///
/// No path is opened: what lies there by now need not be what was opened.
package final class BlkidProbe {
  /// Valid while this object lives, which frees it.
  package let handle: blkid_probe
  private let descriptor: Int32

  /// At the start of a layer; file systems that libblkid knows have their superblock
  /// within these bytes.
  private static let headLength: UInt64 = 2 << 20
  /// At its end: the copy of a GPT, the superblock of mdraid 1.0.
  private static let tailLength: UInt64 = 1 << 20

  /// - Parameter places: where else libblkid will look. Each is a sector of `length` bytes.
  /// - Throws: `StackError` when the layer cannot be read.
  package init(
    _ layer: Layer, sectors places: [UInt64] = [], length: Int = 512
  ) throws(StackError) {
    guard let handle = blkid_new_probe() else {
      throw StackError(.noRoom, "there is no memory to probe \(layer.title)")
    }
    let start: blkid_loff_t
    if let opened = Self.open(layer) {
      descriptor = opened.descriptor
      start = blkid_loff_t(clamping: opened.offset)
    } else {
      start = 0
      do throws(StackError) {
        descriptor = try Self.copy(layer, sectors: places, length: length)
      } catch {
        blkid_free_probe(handle)
        throw error
      }
    }
    self.handle = handle
    errno = 0
    guard
      blkid_probe_set_device(handle, descriptor, start, blkid_loff_t(clamping: layer.size)) == 0
    else { throw failure(of: layer) }
  }

  deinit {
    blkid_free_probe(handle)
    close(descriptor)
  }

  /// What libblkid's last call failed of.
  package func failure(of layer: Layer) -> StackError {
    let reason = errno == 0 ? "the medium cannot be read" : Errno(rawValue: errno).description
    return StackError(.medium, "libblkid cannot probe \(layer.title): \(reason)")
  }

  /// The medium that the layer lies on; `nil` when it does not lie in one piece, or the page
  /// cache does not show what is on it.
  private static func open(_ layer: Layer) -> (descriptor: Int32, offset: UInt64)? {
    guard let base = layer.base,
      let descriptor = (base.medium as? OpenMedium)?.reopenedForCachedReads()
    else { return nil }
    return (descriptor, base.offset)
  }

  private static func copy(
    _ layer: Layer, sectors: [UInt64], length: Int
  ) throws(StackError) -> Int32 {
    let descriptor = floe_memory_file("floe-probe")
    guard descriptor >= 0 else {
      throw StackError("\(layer.title) cannot be probed", cause: Errno(rawValue: errno))
    }
    do throws(StackError) {
      guard let size = off_t(exactly: layer.size), ftruncate(descriptor, size) == 0 else {
        throw StackError(.noRoom, "\(layer.title) is too large to be probed")
      }
      let head = min(layer.size, headLength)
      let tail = max(head, layer.size - min(layer.size, tailLength))
      try copy(0..<head, of: layer, to: descriptor)
      try copy(tail..<layer.size, of: layer, to: descriptor)
      for sector in sectors where sector < layer.size {
        let end = sector + min(UInt64(length), layer.size - sector)
        try copy(sector..<end, of: layer, to: descriptor)
      }
    } catch {
      close(descriptor)
      throw error
    }
    return descriptor
  }

  private static func copy(
    _ range: Range<UInt64>, of layer: Layer, to descriptor: Int32
  ) throws(StackError) {
    let bytes = try layer.bytes(
      at: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    do {
      try bytes.withUnsafeBytes {
        try FileDescriptor(rawValue: descriptor).write(all: $0, at: range.lowerBound)
      }
    } catch {
      throw StackError("\(layer.title) cannot be probed", cause: error)
    }
  }
}
