import CBlkid
public import DataSets
import FrozenImage
import Glibc
public import VolumeLayers

/// A partition table, as libblkid reads it.
public struct PartitionTable: Sendable {
  /// The formats that are read, by libblkid's names.
  public enum Kind: String, Sendable {
    /// UEFI specification, chapter 5.
    case gpt
    /// The master boot record, with extended boot records behind it.
    case dos
  }

  /// An entry of the table.
  public struct Partition: Hashable, Sendable {
    /// From 1 on, as Linux numbers them; logical partitions of a DOS table from 5 on.
    public let number: Int
    /// Bytes from the start of the layer that the table lies on.
    public let start: UInt64
    /// Bytes.
    public let size: UInt64
    /// A GUID, or the number of a DOS partition's type ("0x83").
    public let type: String
    /// The name in a GPT; empty when there is none.
    public let name: String
    /// The unique GUID, or what Linux makes of a DOS table's signature ("d0e1f2a3-01").
    public let uuid: String
    /// Whether it holds logical partitions and no data of its own.
    public let isExtended: Bool
  }

  /// Which of the formats it has.
  public let kind: Kind
  /// Bytes: the unit of addresses in the table.
  public let sectorSize: UInt64
  /// In the table's order.
  public let partitions: [Partition]
  let layer: Layer

  /// Looks for a table on a layer.
  ///
  /// Numbers in a table count logical sectors. A block device's are known, also where
  /// the layer is its file; in an image file a GPT's are found by where its header lies,
  /// a DOS table's have 512 bytes.
  ///
  /// - Returns: `nil` when there is none.
  /// - Throws: `StackError` when the layer cannot be read or its table is damaged.
  public static func find(on layer: Layer) throws(StackError) -> PartitionTable? {
    guard layer.size >= 1024 else { return nil }
    let sectorSize = layer.sectorSize ?? 512
    let records = try BootRecords(on: layer, sectorSize: sectorSize)
    let probe = try BlkidProbe(layer, sectors: records.offsets)
    var names = [strdup("gpt"), strdup("dos"), nil]
    defer { for name in names { free(name) } }
    blkid_probe_filter_partitions_type(probe.handle, BLKID_FLTR_ONLYIN, &names)
    let known = UInt32(clamping: sectorSize)
    for size in [known, known == 512 ? 4096 : 512] {
      guard blkid_probe_set_sectorsize(probe.handle, size) == 0,
        let list = try probe.partitions(of: layer), let table = blkid_partlist_get_table(list),
        let name = blkid_parttable_get_type(table),
        let kind = Kind(rawValue: String(cString: name)),
        kind == .gpt || size == known
      else { continue }
      if kind == .gpt, blkid_parttable_get_offset(table) != blkid_loff_t(size) {
        throw StackError(
          .malformed,
          "the GPT at the start of \(layer.title) is damaged and only the copy at its end is intact; sfdisk or gdisk can restore it"
        )
      }
      return PartitionTable(
        kind: kind, sectorSize: UInt64(size),
        partitions: try partitions(of: list, table: table, kind: kind, on: layer), layer: layer)
    }
    if records.protectGPT {
      throw StackError(
        .malformed, "\(layer.title) has the MBR that protects a GPT, but no intact GPT")
    }
    return nil
  }

  private static func partitions(
    of list: blkid_partlist, table: blkid_parttable, kind: Kind, on layer: Layer
  ) throws(StackError) -> [Partition] {
    var found: [Partition] = []
    for index in 0..<blkid_partlist_numof_partitions(list) {
      // Tables inside partitions (BSD, Solaris) are listed too, as tables of their own.
      guard let partition = blkid_partlist_get_partition(list, index),
        blkid_partition_get_table(partition) == table
      else { continue }
      let number = Int(blkid_partition_get_partno(partition))
      // libblkid counts units of 512 bytes, whatever the sectors have.
      let start = UInt64(clamping: blkid_partition_get_start(partition))
        .multipliedReportingOverflow(by: 512)
      let size = UInt64(clamping: blkid_partition_get_size(partition))
        .multipliedReportingOverflow(by: 512)
      guard !start.overflow, !size.overflow,
        !start.partialValue.addingReportingOverflow(size.partialValue).overflow
      else {
        throw StackError(.malformed, "partition \(number) of \(layer.title) ends beyond any medium")
      }
      let type = blkid_partition_get_type_string(partition).map { String(cString: $0) }
      found.append(
        Partition(
          number: number, start: start.partialValue, size: size.partialValue,
          type: type ?? "0x" + String(blkid_partition_get_type(partition), radix: 16),
          name: blkid_partition_get_name(partition).map { String(cString: $0) } ?? "",
          uuid: blkid_partition_get_uuid(partition).map { String(cString: $0) } ?? "",
          isExtended: kind == .dos && blkid_partition_is_extended(partition) != 0))
    }
    return found
  }
}

extension BlkidProbe {
  /// The partitions of a table in sectors of the size that was set; `nil` when there is
  /// no table.
  ///
  /// libblkid gives no list either when a table leads beyond the layer's end; only its
  /// quick look, which does not follow the table, tells the two apart.
  fileprivate func partitions(of layer: Layer) throws(StackError) -> blkid_partlist? {
    if let list = blkid_probe_get_partitions(handle) { return list }
    blkid_probe_enable_superblocks(handle, 0)
    blkid_probe_enable_partitions(handle, 1)
    errno = 0
    switch blkid_do_probe(handle) {
    case 1: return nil
    case 0:
      throw StackError(.malformed, "the partition table of \(layer.title) leads beyond its end")
    default: throw failure(of: layer)
    }
  }
}
