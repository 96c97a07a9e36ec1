import FrozenImage

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// An input is the store of a thick snapshot of an origin of 64 KiB.
func fuzzSnapshot(_ input: [UInt8]) {
  let origin = Layer(InputMedium([], size: 64 << 10))
  let store = Layer(InputMedium(input, size: UInt64(input.count)))
  guard
    let runs = try? SnapshotRuns(
      SnapshotRuns.Description(
        title: "snapshot", size: origin.size, origin: origin, store: store, looks: 1)),
    let map = try? runs.map(), let live = map.live
  else { return }
  use(map)
  require(try runs.confirms(live.number), "a store that rests stays what it is")
  require(try runs.successor(of: live.number) == nil, "a store that rests has no other state")
}

/// An input is the metadata of a thin pool. The checksums of its blocks are made right.
func fuzzThin(_ input: [UInt8]) {
  let metadata = sealed(input)
  let superblock = try? ThinMetadata(on: Layer(InputMedium(metadata)), title: "pool").superblock()
  guard let superblock else { return }
  for device: UInt64 in 0..<4 {
    let runs = try? ThinRuns(
      ThinRuns.Description(
        title: "volume", pool: "pool", size: 100 * superblock.chunkSize - 4096, device: device,
        chunkSize: superblock.chunkSize,
        data: Layer(InputMedium([], size: 64 * superblock.chunkSize)),
        metadata: Layer(InputMedium(metadata))))
    if let map = try? runs?.map() { use(map) }
  }
}

/// With the checksum of each block, and the block's own number, made right
/// (`ThinMetadata`).
private func sealed(_ input: [UInt8]) -> [UInt8] {
  let size = Int(ThinMetadata.blockSize)
  var metadata = input
  for start in stride(from: 0, through: input.count - size, by: size) {
    metadata.put(UInt64(start / size), at: start + 8)
    let kind: UInt32 = start == 0 ? 160_774 : 121_107
    let checksum = metadata[start + 4..<start + size].withUnsafeBytes { CRC32C.checksum($0) }
    metadata.put(~checksum ^ kind, at: start)
  }
  return metadata
}
