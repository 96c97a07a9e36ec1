import FrozenImage

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// An input that begins with a label is a physical volume, and its checksums are made
/// right; any other is the text of a volume group's metadata.
func fuzzLVM(_ input: [UInt8]) {
  let isDisk =
    input.count >= 1024
    && (0..<2).contains { sector in
      input[(sector * 512)...].starts(with: Array("LABELONE".utf8))
    }
  let disk = isDisk ? sealed(input) : sealed(physicalVolume(holding: input))
  let layer = Layer(InputMedium(disk, size: 64 << 20))
  guard let volume = try? PhysicalVolume.find(on: layer) else { return }
  for group in FoundVolumeGroup.groups(of: [volume]) {
    _ = try? group.choose(nil)
    for logical in group.logicalVolumes.prefix(64) {
      if let map = try? group.map(logical) { use(map) }
    }
  }
}

/// A label in sector 1 and a metadata area at 4096 with this text.
private func physicalVolume(holding text: [UInt8]) -> [UInt8] {
  let areaLength = text.count + 512
  var disk = [UInt8](repeating: 0, count: 4096 + areaLength)
  disk.replaceSubrange(512..<520, with: Array("LABELONE".utf8))
  disk.put(UInt64(1), at: 512 + 8)
  disk.put(UInt32(32), at: 512 + 20)
  disk.replaceSubrange(512 + 24..<512 + 32, with: Array("LVM2 001".utf8))
  // The corpus's texts call their physical volume so.
  disk.replaceSubrange(
    512 + 32..<512 + 64, with: Array(repeating: UInt8(ascii: "a"), count: VolumeIdentifier.length))
  disk.put(UInt64(4096), at: 512 + 88)
  disk.put(UInt64(areaLength), at: 512 + 96)
  disk.replaceSubrange(4096 + 4..<4096 + 20, with: Array(" LVM2 x[5A%r0N*>".utf8))
  disk.put(UInt32(1), at: 4096 + 20)
  disk.put(UInt64(4096), at: 4096 + 24)
  disk.put(UInt64(areaLength), at: 4096 + 32)
  disk.put(UInt64(512), at: 4096 + 40)
  disk.put(UInt64(text.count), at: 4096 + 48)
  disk.replaceSubrange(4096 + 512..<disk.count, with: text)
  return disk
}

/// With the checksums of labels, metadata areas and texts made right. An area may begin at
/// any sector.
private func sealed(_ disk: [UInt8]) -> [UInt8] {
  var disk = disk
  for sector in stride(from: 0, to: disk.count - 511, by: 512) {
    if disk[sector...].starts(with: Array("LABELONE".utf8)) {
      let bytes = disk[sector + 20..<sector + 512]
      disk.put(MetadataChecksum.checksum(bytes), at: sector + 16)
    }
    guard disk[(sector + 4)...].starts(with: Array(" LVM2 x[5A%r0N*>".utf8)) else { continue }
    let (offset, length): (UInt64, UInt64) = (
      disk.number(at: sector + 40), disk.number(at: sector + 48)
    )
    let left = UInt64(disk.count - sector)
    if offset <= left, length <= left - offset {
      let start = sector + Int(offset)
      let text = disk[start..<start + Int(length)]
      disk.put(MetadataChecksum.checksum(text), at: sector + 56)
    }
    disk.put(MetadataChecksum.checksum(disk[sector + 4..<sector + 512]), at: sector)
  }
  return disk
}
