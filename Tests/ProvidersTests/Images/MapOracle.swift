import FoundationEssentials

@testable import BlockMappers
@testable import VolumeLayers

/// What `qemu-img map` says of an image without backing file.
struct MapOracle {
  private struct Extent: Decodable {
    let start: UInt64
    let length: UInt64
    let zero: Bool
    let data: Bool
    let offset: UInt64?
  }

  let runs: [LayerRun]

  init(_ name: String, in files: ImageFiles) throws {
    let text = try files.run("qemu-img map -f qcow2 --output=json \(name)")
    let extents = try JSONDecoder().decode([Extent].self, from: Data(text.utf8))
    var list = RunList()
    for extent in extents {
      let range = extent.start..<extent.start + extent.length
      if let offset = extent.offset, extent.data {
        try list.append(range, .below(layer: 0, offset: offset))
      } else {
        try list.append(range, extent.zero ? .zeros : .encoded)
      }
    }
    runs = list.finish()
  }
}
