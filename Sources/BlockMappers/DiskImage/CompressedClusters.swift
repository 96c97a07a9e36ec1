import DataSets
import Decoding
import FrozenImage
import VolumeLayers

/// Reads the compressed clusters of a qcow2 image.
struct CompressedClusters: VolumeLayers.RunDecoder {
  /// Where a cluster of the guest's disk is kept.
  struct Cluster: Hashable {
    /// Number of the cluster on the guest's disk.
    let index: UInt64
    /// Bytes from the start of the image, aligned to nothing.
    let offset: UInt64
    /// Bytes up to the end of the last sector; the data may end earlier.
    let length: UInt64

    /// - Parameter entry: of the L2 table. The bits up to x hold the place, those above
    ///   it, up to bit 61, the count of further sectors.
    init(entry: UInt64, index: UInt64, clusterBits: UInt64) {
      let width = clusterBits - 8
      let x = 62 - width
      self.index = index
      offset = entry & (1 << x - 1)
      let sectors = entry >> x & (1 << width - 1)
      length = (sectors + 1) * 512 - offset % 512
    }
  }

  let image: Layer
  let header: Qcow2Header
  /// In ascending order of index.
  let clusters: [Cluster]

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StackError) {
    var done = 0
    while done < buffer.count {
      let position = offset + UInt64(done)
      let cluster = try content(at: position >> header.clusterBits)
      let start = Int(position & (header.clusterSize - 1))
      let count = min(buffer.count - done, cluster.count - start)
      cluster.withUnsafeBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
      }
      done += count
    }
  }

  /// The beginning of each cluster's compressed bytes.
  func stored(_ range: Range<UInt64>) -> [ProbeWindow] {
    var windows: [ProbeWindow] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let index = position >> header.clusterBits
      if let cluster = cluster(at: index) {
        let length = min(cluster.length, image.size - cluster.offset, 4096)
        let window = ProbeWindow(layer: 0, offset: cluster.offset, length: Int(length))
        if window.isPlain(on: image) { windows.append(window) }
      }
      position = (index + 1) << header.clusterBits
    }
    return windows
  }

  /// The bytes of a whole cluster.
  private func content(at index: UInt64) throws(StackError) -> [UInt8] {
    guard let cluster = cluster(at: index) else {
      throw StackError(
        .malformed,
        "\(image.title) has no compressed cluster for byte \(index << header.clusterBits)")
    }
    // The last sector may be cut by the file's end.
    let length = min(cluster.length, image.size - cluster.offset)
    let packed = try image.bytes(at: cluster.offset, count: Int(length))
    var bytes = [UInt8](repeating: 0, count: Int(header.clusterSize))
    // A cluster has 2 MiB at most, so a larger window is of no use.
    var decompressor = Decompressor(windowLog: 21)
    let count = bytes.withUnsafeMutableBytes { output in
      packed.withUnsafeBytes { input in
        switch header.compression {
        case .deflate: try? decompressor.inflate(input, .none, into: output)
        case .zstd: try? decompressor.decodeFrame(input, into: output)
        }
      }
    }
    guard count == bytes.count else {
      throw StackError(
        .malformed, "\(image.title): the compressed cluster at byte \(cluster.offset) is damaged")
    }
    return bytes
  }

  /// Found by binary search.
  private func cluster(at index: UInt64) -> Cluster? {
    let found = clusters.partitioningIndex { $0.index >= index }
    return found < clusters.count && clusters[found].index == index ? clusters[found] : nil
  }
}
