package import DataSets
import FrozenImage
package import VolumeLayers

/// The records of a DOS partition table: the master boot record in sector 0 and the
/// chain of extended boot records, one for each logical partition.
///
/// Each has four entries of 16 bytes from byte 446 on, and the bytes 55 AA at its end.
/// Of an extended boot record one entry is the logical partition, counted from the
/// record's own sector, another leads to the next record, counted from the start of
/// the extended partition (linux/block/partitions/msdos.c).
package struct BootRecords {
  struct Record {
    /// Bytes from the start of the layer.
    let offset: UInt64
    let entries: [Entry]
  }

  struct Entry {
    /// 0x80 for the partition that is booted, else 0.
    let flag: UInt8
    let type: UInt8
    /// Sectors.
    let start: UInt32
    let length: UInt32

    /// Types of an extended partition: for CHS, LBA and Linux.
    var isExtended: Bool { (type == 0x05 || type == 0x0F || type == 0x85) && length > 0 }
  }

  /// Most records that are followed: more than Linux or libblkid give numbers to.
  static let maximumCount = 300

  /// The master boot record first, then each chain in its order; empty without one.
  private(set) var records: [Record] = []
  let sectorSize: UInt64

  var offsets: [UInt64] { records.map(\.offset) }

  /// Whether there is a GPT, or should be: type EE of the UEFI specification, 5.2.3.
  var protectGPT: Bool { records.first?.entries.contains { $0.type == 0xEE } ?? false }

  /// - Throws: `StackError` when the layer cannot be read.
  init(on layer: Layer, sectorSize: UInt64) throws(StackError) {
    self.sectorSize = sectorSize
    guard let master = try Self.record(at: 0, on: layer) else { return }
    records.append(master)
    for extended in master.entries where extended.isExtended {
      let base = UInt64(extended.start) * sectorSize
      var next: UInt64? = base
      // A record that was there already ends a chain that runs in a circle.
      while let offset = next, records.count < Self.maximumCount, !offsets.contains(offset),
        let record = try Self.record(at: offset, on: layer)
      {
        records.append(record)
        next = record.entries.first(where: \.isExtended).map {
          base + UInt64($0.start) * sectorSize
        }
      }
    }
  }

  /// Whether lvm2 takes the layer for a disk with partitions, on which it looks for no
  /// label (`_has_partition_table`, lib/device/dev-type.c).
  ///
  /// - Throws: `StackError` when the layer cannot be read.
  package static func isPartitioned(_ layer: Layer) throws(StackError) -> Bool {
    guard let entries = try record(at: 0, on: layer)?.entries else { return false }
    return entries.allSatisfy { $0.flag & 0x7F == 0 } && entries.contains { $0.length > 0 }
  }

  /// The records that lead to a partition, the last of which holds its entry; `nil`
  /// when none does.
  func path(to partition: PartitionTable.Partition) -> ArraySlice<Record>? {
    let last = records.firstIndex { record in
      record.entries.contains {
        !$0.isExtended && record.offset + UInt64($0.start) * sectorSize == partition.start
          && UInt64($0.length) * sectorSize == partition.size
      }
    }
    return last.map { records[...$0] }
  }

  /// The record at a place; `nil` when there is none.
  private static func record(at offset: UInt64, on layer: Layer) throws(StackError) -> Record? {
    guard offset <= layer.size, layer.size - offset >= 512 else { return nil }
    let bytes = try layer.bytes(at: offset, count: 512)
    return bytes.withUnsafeBytes { bytes in
      guard bytes[510] == 0x55, bytes[511] == 0xAA else { return nil }
      let entries = (0..<4).map { index in
        let place = 446 + 16 * index
        return Entry(
          flag: bytes[place], type: bytes[place + 4], start: bytes.number(at: place + 8) ?? 0,
          length: bytes.number(at: place + 12) ?? 0)
      }
      return Record(offset: offset, entries: entries)
    }
  }
}
