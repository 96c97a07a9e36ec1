import FrozenImage
import VolumeLayers

/// Chooses some bytes of a disk image's own data that tell it from other images with the
/// same header and tables: overlays of one base, or compressed images of one size.
struct ClusterSamples {
  /// Of the plain data, and of the compressed, each.
  private static let count: UInt64 = 8
  /// Bytes of each.
  private static let length: UInt64 = 512

  let lower: [Layer]

  /// Windows spread evenly over what the runs of a layer below hold.
  func plain(of runs: [LayerRun], on layer: Int) -> [ProbeWindow] {
    let own = runs.compactMap { run -> (start: UInt64, length: UInt64)? in
      guard case .below(let placement) = run.content, let target = placement.targets.first,
        target.layer == layer
      else { return nil }
      return (target.offset, run.range.upperBound - run.range.lowerBound)
    }
    let total = own.reduce(0) { $0 + $1.length }
    guard total > 0 else { return [] }
    var windows: [ProbeWindow] = []
    var before: UInt64 = 0
    var index: UInt64 = 0
    for run in own {
      while index < Self.count, Self.place(index, of: total) < before + run.length {
        let skipped = (Self.place(index, of: total) - before) & ~(Self.length - 1)
        windows += window(
          on: layer, at: run.start + skipped, limit: min(Self.length, run.length - skipped))
        index += 1
      }
      before += run.length
    }
    return windows
  }

  /// The beginnings of clusters chosen evenly. As each begins where another one ends, their
  /// places depend on the length of all before.
  func compressed(_ clusters: [CompressedClusters.Cluster]) -> [ProbeWindow] {
    guard !clusters.isEmpty else { return [] }
    return (0..<Self.count).flatMap { index in
      let cluster = clusters[Int(Self.place(index, of: UInt64(clusters.count)))]
      return window(on: 0, at: cluster.offset, limit: min(Self.length, cluster.length))
    }
  }

  /// The first for index 0, the last for index `count - 1`.
  private static func place(_ index: UInt64, of total: UInt64) -> UInt64 {
    // The quotient and the remainder apart: a disk's size times 8 may overflow.
    let (step, rest) = (total - 1).quotientAndRemainder(dividingBy: count - 1)
    return step * index + rest * index / (count - 1)
  }

  /// One window, or none where nothing of the layer can be read plainly.
  private func window(on layer: Int, at offset: UInt64, limit: UInt64) -> [ProbeWindow] {
    guard offset < lower[layer].size else { return [] }
    let length = min(limit, lower[layer].size - offset)
    let window = ProbeWindow(layer: layer, offset: offset, length: Int(length))
    return window.isPlain(on: lower[layer]) ? [window] : []
  }
}
