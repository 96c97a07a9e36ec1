public import DataSets
import FrozenImage
public import VolumeLayers

/// A disk image in QEMU's format qcow2, versions 2 and 3 (QEMU, docs/interop/qcow2).
///
/// The active state of the image is mapped; internal snapshots are left aside. Reference
/// counts are not looked at: they matter to a writer only.
public struct Qcow2: Sendable {
  let header: Qcow2Header
  let image: Layer

  /// Looks for a qcow2 image on a layer.
  ///
  /// Only call this for bytes that are meant to be a disk image: a guest may write a
  /// qcow2 header into a raw disk, which then names files of the host.
  ///
  /// - Returns: `nil` when the layer does not begin as a qcow2 image does.
  /// - Throws: `StackError` when the layer cannot be read, or its header is damaged or
  ///   asks for what is not supported.
  public static func find(on layer: Layer) throws(StackError) -> Qcow2? {
    guard try begins(layer) else { return nil }
    return Qcow2(header: try Qcow2Header(of: layer), image: layer)
  }

  /// Whether a layer begins as a qcow2 image does. Nothing is believed of it.
  package static func begins(_ layer: Layer) throws(StackError) -> Bool {
    guard layer.size >= 4 else { return false }
    return try layer.bytes(at: 0, count: 4) == Qcow2Header.magic
  }

  /// What the guest sees as its disk, as a map of the image file and the files that it
  /// names: the backing file for what was never written, the data file for all data of
  /// an image that keeps it outside.
  ///
  /// - Parameters:
  ///   - path: the path of the device that the image is on, which its relative names begin
  ///     at; a file has its own.
  ///   - allowed: the files that the image may lead to; those in its own directory unless
  ///     the user named others.
  /// - Throws: `StackError` when a table is damaged, or a file that the image names
  ///   cannot be used or is not allowed.
  public func map(
    at path: String? = nil, allowed: AllowedFiles? = nil
  ) throws(StackError) -> LayerMap {
    try map(in: ImageChain(of: image, path: path, allowed: allowed ?? AllowedFiles(of: image)))
  }

  func map(in chain: ImageChain) throws(StackError) -> LayerMap {
    var lower = [image]
    var dataFile: Int?
    if header.features.contains(.externalDataFile) {
      guard let name = header.dataFile else {
        throw StackError(
          .malformed, "\(image.title) keeps its data in a file that it does not name")
      }
      lower.append(try chain.file(named: name, by: image, format: .raw))
      dataFile = lower.count - 1
    }
    var backing: Int?
    if let name = header.backingFile {
      lower.append(
        try chain.file(named: name, by: image, format: try header.format(ofBacking: image)))
      backing = lower.count - 1
    }
    var clusters = ClusterMap(header: header, lower: lower, dataFile: dataFile, backing: backing)
    let table = try header.activeTable(of: image)
    try clusters.add(table)
    let compressed = clusters.compressed
    let runs = clusters.runs.finish()
    let samples = ClusterSamples(lower: lower)
    return try LayerMap(
      title: "qcow2 image \(image.title)", size: header.size, lower: lower, runs: runs,
      identity: header.identity(on: image) + samples.plain(of: runs, on: clusters.dataFile)
        + samples.compressed(compressed),
      witness: header.witness(on: image),
      decoder: compressed.isEmpty
        ? nil : CompressedClusters(image: image, header: header, clusters: compressed),
      allocates: true)
  }
}
