public import DataSets
import FrozenImage
public import VolumeLayers

extension PartitionTable {
  /// A partition as a layer of its own: a run in one piece.
  ///
  /// - Throws: `StackError` when it is an extended partition or ends beyond the layer,
  ///   or the table is no longer what was found.
  public func map(_ partition: Partition) throws(StackError) -> LayerMap {
    let title = title(of: partition)
    guard !partition.isExtended else {
      throw StackError(
        .unsupported, "\(title) of \(layer.title) holds logical partitions, no data of its own")
    }
    guard partition.size > 0, partition.start <= layer.size,
      partition.size <= layer.size - partition.start
    else {
      throw StackError(
        .malformed,
        "\(title) ends at byte \(partition.start &+ partition.size), but \(layer.title) has \(layer.size) bytes"
      )
    }
    let (identity, witness) =
      switch kind {
      case .gpt: try guidWindows(of: partition, title)
      case .dos: try bootRecordWindows(of: partition, title)
      }
    return try LayerMap(
      title: title, size: partition.size, lower: [layer],
      runs: [.linear(0..<partition.size, at: LayerAddress(layer: 0, offset: partition.start))],
      identity: identity.filter { $0.isPlain(on: layer) },
      witness: witness, sectorSize: layer.sectorSize)
  }

  /// "partition 2 (GPT, “root”)".
  private func title(of partition: Partition) -> String {
    let table = kind == .gpt ? "GPT" : "MBR"
    let name = partition.name.isEmpty ? "" : ", “\(partition.name)”"
    return "partition \(partition.number) (\(table)\(name))"
  }

  /// The disk's GUID in the header and the partition's in its entry tell which it is.
  /// Where the entries lie, the entry's addresses and attributes tell whether it was
  /// moved or resized (UEFI specification, 5.3.2 and 5.3.3).
  private func guidWindows(
    of partition: Partition, _ title: String
  ) throws(StackError) -> (identity: [ProbeWindow], witness: [ProbeWindow]) {
    let changed = StackError(.inUse, "\(title) of \(layer.title) changed while it was looked at")
    let header = try layer.bytes(at: sectorSize, count: 92)
    guard let table = header.number(at: 72, as: UInt64.self),
      let entryLength = header.number(at: 84, as: UInt32.self), partition.number > 0
    else { throw changed }
    let (first, isFar) = table.multipliedReportingOverflow(by: sectorSize)
    let (place, isFarther) = first.addingReportingOverflow(
      UInt64(partition.number - 1) * UInt64(entryLength))
    guard !isFar, !isFarther else { throw changed }
    let entry = try layer.bytes(at: place, count: 128)
    guard let start = entry.number(at: 32, as: UInt64.self),
      let last = entry.number(at: 40, as: UInt64.self),
      start == partition.start / sectorSize, last >= start,
      last - start == partition.size / sectorSize - 1
    else { throw changed }
    let headerLength = header.count
    return (
      identity: [
        ProbeWindow(
          layer: 0, offset: sectorSize, length: headerLength,
          fragments: [
            Probe.Fragment(offset: 0, length: 8), Probe.Fragment(offset: 56, length: 16),
          ]),
        ProbeWindow(
          layer: 0, offset: place, length: 128,
          fragments: [Probe.Fragment(offset: 16, length: 16)]),
      ],
      witness: [
        ProbeWindow(
          layer: 0, offset: sectorSize, length: headerLength,
          fragments: [Probe.Fragment(offset: 72, length: 16)]),
        ProbeWindow(
          layer: 0, offset: place, length: 128,
          fragments: [Probe.Fragment(offset: 0, length: 56)]),
      ]
    )
  }

  /// Most records of a DOS table that a witness takes in, so that it leaves windows to
  /// other layers (`Probe.maximumWindows`).
  private static let maximumRecords = 48

  /// The signature and the entries tell which disk it is. Every record that leads to a
  /// logical partition tells whether it was moved or resized: a partition tool may leave
  /// the old records behind and lead past them.
  private func bootRecordWindows(
    of partition: Partition, _ title: String
  ) throws(StackError) -> (identity: [ProbeWindow], witness: [ProbeWindow]) {
    let records = try BootRecords(on: layer, sectorSize: sectorSize)
    guard let path = records.path(to: partition) else {
      throw StackError(.inUse, "\(title) of \(layer.title) changed while it was looked at")
    }
    guard path.count <= Self.maximumRecords else {
      throw StackError(
        .malformed,
        "\(title) of \(layer.title) lies behind \(path.count) boot records, of which at most \(Self.maximumRecords) can be watched"
      )
    }
    // The entries and the signature 55 AA.
    let entries = Probe.Fragment(offset: 446, length: 66)
    return (
      identity: [
        ProbeWindow(
          layer: 0, offset: 0, length: 512,
          fragments: [Probe.Fragment(offset: 440, length: 4), entries])
      ],
      witness: path.map {
        ProbeWindow(layer: 0, offset: $0.offset, length: 512, fragments: [entries])
      }
    )
  }
}

extension [UInt8] {
  /// A little-endian number; `nil` when it does not lie inside the array.
  fileprivate func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type)
    -> Number?
  {
    withUnsafeBytes { $0.number(at: offset, as: type) }
  }
}
