import FrozenImage
import LogicalRepresentation

@testable import FileTrees
@testable import VolumeLayers

/// An input is the beginning of an ext2/3/4 image, zeros are the rest. The superblock's
/// checksum is made right.
func fuzzExt(_ input: [UInt8]) {
  var image = input
  if image.count >= 2048 {
    let checksum = image[1024..<2044].withUnsafeBytes { ~CRC32C.checksum($0) }
    image.put(checksum, at: 2044)
  }
  let layer = Layer(InputMedium(image, size: 1 << 20))
  guard let fileSystem = try? ExtFileSystem(on: layer) else { return }
  var bytes = [UInt8](repeating: 0, count: 8192)
  for inode: UInt64 in 1...24 {
    for offset: UInt64 in [0, 12 << 10, 1 << 40] {
      _ = bytes.withUnsafeMutableBytes {
        try? fileSystem.read(inode: inode, offset: offset, into: $0)
      }
    }
  }
  describe(fileSystem, on: layer)
}

/// Writes the tree as a freeze does. What is written has to pass the check.
private func describe(_ fileSystem: ExtFileSystem, on layer: Layer) {
  let scratch = ArrayScratch()
  guard let stack = try? Stack(top: layer, identity: ExtFileSystem.identity),
    let volume = try? sampleVolume(stack),
    var writer = try? RepresentationWriter(
      image: sampleImage(fileSystem), volumes: [volume], scratch: scratch)
  else { return }
  do {
    try fileSystem.describe(into: &writer) { _ in }
    try writer.finish(rootInode: ExtFileSystem.rootInode, rootName: "input")
  } catch {
    return
  }
  require(
    try checks(scratch.result), "what the freeze of an image writes can be mounted")
}

private func checks(_ bytes: [UInt8]) throws -> Bool {
  try Representation(ArrayRegion(bytes)).check()
  return true
}

private func sampleVolume(_ stack: Stack) throws -> VolumeDescription {
  let id = UniqueIdentifier(high: 1, low: 1)
  return VolumeDescription(
    id: id, label: "input",
    state: MappingState(configurationID: try stack.configurationID(), cursor: []),
    map: try stack.storeMap(), media: try stack.media(), checksum: nil, checksumBlockSize: 0)
}

private func sampleImage(_ fileSystem: ExtFileSystem) -> ImageDescription {
  ImageDescription(
    id: UniqueIdentifier(high: 1, low: 2), name: "input",
    created: Timestamp(seconds: 0, nanoseconds: 0), provider: "ext", host: "host",
    source: "input", statistics: fileSystem.statistics)
}
