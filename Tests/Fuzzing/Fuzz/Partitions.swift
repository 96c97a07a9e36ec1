import BlockMappers
import CCompression
import FrozenImage
import StackProvider
import VolumeLayers

/// An input is a disk. A GPT's checksums are made right.
func fuzzPartitions(_ input: [UInt8]) {
  var disk = input
  for sector in [512, 4096] { sealGPT(&disk, at: sector) }
  let layer = Layer(InputMedium(disk, size: UInt64(disk.count) + (64 << 10)))
  _ = try? ContentProbe.find(on: layer)
  guard let table = try? PartitionTable.find(on: layer) else { return }
  for partition in table.partitions {
    if let map = try? table.map(partition) { use(map) }
  }
}

/// UEFI specification, 5.3.2: the entries' checksum at 88, the header's at 16.
private func sealGPT(_ disk: inout [UInt8], at header: Int) {
  guard disk.count >= header + 92, disk[header...].starts(with: Array("EFI PART".utf8)) else {
    return
  }
  let (sector, count, length): (UInt64, UInt32, UInt32) = (
    disk.number(at: header + 72), disk.number(at: header + 80), disk.number(at: header + 84)
  )
  let (start, overflow) = sector.multipliedReportingOverflow(by: UInt64(header))
  let bytes = UInt64(count).multipliedReportingOverflow(by: UInt64(length))
  let end = start.addingReportingOverflow(bytes.partialValue)
  if !overflow, !bytes.overflow, !end.overflow, end.partialValue <= UInt64(disk.count) {
    disk.put(checksum(disk[Int(start)..<Int(end.partialValue)]), at: header + 88)
  }
  let size: UInt32 = disk.number(at: header + 12)
  disk.put(UInt32(0), at: header + 16)
  guard size >= 92, UInt64(size) <= UInt64(disk.count - header) else { return }
  disk.put(checksum(disk[header..<header + Int(size)]), at: header + 16)
}

private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  bytes.withUnsafeBytes { bytes in
    UInt32(
      truncatingIfNeeded: crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
  }
}
