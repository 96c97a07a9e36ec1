import FrozenImage
import ImageReader
import Testing

@testable import DataSets
@testable import VolumeLayers

/// What every mapper has to hold: its map read through the layers below gives the
/// bytes that the format's own tool gives, from any offset, and the backup host's
/// resolution of the same map leads to the same bytes on the media.
///
/// - Parameters:
///   - layer: what the mapper made.
///   - oracle: the layer's bytes, as an independent tool gave them.
func expectConformance(
  of layer: Layer, to oracle: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(layer.size == UInt64(oracle.count), sourceLocation: sourceLocation)
  guard layer.size == UInt64(oracle.count), !oracle.isEmpty else { return }
  var random = SystemRandomNumberGenerator()
  let stack = try Stack(top: layer)
  let map = try stack.storeMap()
  let media = try mediaByID(of: stack)
  var places: [Range<Int>] = [
    0..<min(4096, oracle.count), max(0, oracle.count - 512)..<oracle.count,
  ]
  for _ in 0..<300 {
    let start = Int.random(in: 0..<oracle.count, using: &random)
    places.append(start..<min(oracle.count, start + Int.random(in: 1...200_000, using: &random)))
  }
  if case .mapped(let map) = layer.substance {
    // Around every seam, where mistakes of one live.
    for run in map.runs.prefix(200) {
      let seam = Int(run.range.lowerBound)
      places.append(max(0, seam - 3)..<min(oracle.count, seam + 5))
    }
  }
  for place in places {
    let expected = Array(oracle[place])
    let read = try layer.bytes(at: UInt64(place.lowerBound), count: place.count)
    #expect(read == expected, "reading \(place)", sourceLocation: sourceLocation)
    let resolved = try resolvedBytes(of: layer, place, map, media)
    #expect(resolved == expected, "resolving \(place)", sourceLocation: sourceLocation)
    guard read == expected, resolved == expected else { return }
  }
  // Beyond the end there is nothing to read, and nothing traps.
  #expect(throws: StackError.self, sourceLocation: sourceLocation) {
    try layer.bytes(at: layer.size, count: 1)
  }
  #expect(throws: StackError.self, sourceLocation: sourceLocation) {
    try layer.bytes(at: .max, count: 2)
  }
}

private func mediaByID(of stack: Stack) throws -> [MediumID: any Medium] {
  let descriptions = try stack.media()
  var media: [MediumID: any Medium] = [:]
  for layer in stack.layers {
    guard case .medium(let medium) = layer.substance else { continue }
    let description = try #require(descriptions.first { $0.path == medium.path })
    media[description.id] = medium
  }
  return media
}

/// The bytes as a backup host would get them: extents, resolved by the store map.
private func resolvedBytes(
  of layer: Layer, _ place: Range<Int>, _ map: StoreMap, _ media: [MediumID: any Medium]
) throws -> [UInt8] {
  var bytes: [UInt8] = []
  let range = UInt64(place.lowerBound)..<UInt64(place.upperBound)
  for extent in layer.fileExtents(at: 0, of: range, store: Stack.topStore) {
    #expect(extent.offset == UInt64(bytes.count))
    var part = [UInt8](repeating: 0, count: Int(extent.length))
    switch extent.source {
    case .unwritten: break
    case .stored(let address):
      for run in try map.resolve(address, length: extent.length) {
        let copy = try #require(run.copies.first)
        let medium = try #require(media[copy.medium])
        try part.withUnsafeMutableBytes { buffer in
          try medium.read(
            into: UnsafeMutableRawBufferPointer(
              rebasing: buffer[Int(run.position)..<Int(run.position + run.length)]),
            at: copy.offset)
        }
      }
    case .encoded, .compressed, .inline, .unreadable:
      // Only the production host reads these.
      part = try layer.bytes(at: range.lowerBound + extent.offset, count: part.count)
    }
    bytes += part
  }
  return bytes
}
