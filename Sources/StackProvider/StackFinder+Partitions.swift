import BlockMappers
import DataSets
import FrozenImage
import ImageReader
import VolumeLayers

extension StackFinder {
  /// The partition that a selector names, or the only one.
  ///
  /// A selector of digits is a number, whatever the names are. A name may hold colons:
  /// then the selectors behind belong to it.
  mutating func selectedPartition(
    of table: PartitionTable, on layer: Layer
  ) throws(StackError) -> Layer {
    let parts = table.partitions.filter { !$0.isExtended }
    guard let first = selectors.first else {
      guard parts.count == 1, let part = parts.first else {
        throw StackError(
          .invalid, "which partition of \(layer.title) is meant? There are: \(Self.list(parts))")
      }
      return try take(part, of: table)
    }
    if let number = Self.number(first) {
      guard let part = parts.first(where: { $0.number == number }) else {
        throw StackError(
          .notFound, "\(layer.title) has no partition \(first); there are: \(Self.list(parts))")
      }
      selectors.removeFirst()
      return try take(part, of: table)
    }
    // How many selectors each partition's name takes.
    let matches = parts.compactMap { part in
      (1...selectors.count).first {
        !part.name.isEmpty && selectors.prefix($0).joined(separator: ":") == part.name
      }.map { (part, $0) }
    }
    guard matches.count < 2 else {
      throw StackError(
        .invalid,
        "several partitions of \(layer.title) may be meant by \(first), so take the number: "
          + Self.list(matches.map(\.0)))
    }
    guard let (part, count) = matches.first else {
      throw StackError(
        .notFound, "\(layer.title) has no partition \(first); there are: \(Self.list(parts))")
    }
    selectors.removeFirst(count)
    return try take(part, of: table)
  }

  /// The partition that the kernel shows as a device.
  ///
  /// The kernel keeps the table that it read last. So the entry is found by the place that
  /// the kernel has, and the number, which may be another's by now, is only looked at
  /// where several have it.
  mutating func partition(
    _ shown: StackDevice.Partition, shownAs path: String, on disk: Layer
  ) throws(StackError) -> Layer {
    guard let table = try PartitionTable.find(on: disk) else {
      throw StackError(
        .notFound, "\(shown.disk.path) has no partition table although \(path) is its part")
    }
    let container = table.partitions.first {
      $0.number == shown.number && $0.isExtended && $0.start == shown.start
    }
    if let part = container {
      return Layer(try table.map(part))
    }
    let matches = table.partitions.filter {
      !$0.isExtended && $0.start == shown.start && $0.size == shown.size
    }
    guard let part = matches.first(where: { $0.number == shown.number }) ?? matches.first else {
      throw StackError(
        .inUse,
        "the kernel shows \(path) as \(shown.size) bytes from byte \(shown.start) of "
          + "\(shown.disk.path), where its partition table has no partition: the table was changed "
          + "behind the kernel, which reads it again with partx -u \(shown.disk.path)")
    }
    if part.number != shown.number {
      notes.append(
        "\(path) is partition \(part.number) in the table on \(shown.disk.path): the kernel "
          + "still has its old number")
    }
    return try take(part, of: table)
  }

  /// A DOS table does not tell how long the sectors are that it counts. Where a file is
  /// shown by a loop device as well, the kernel may count others than floe does.
  func requireOneSectorSize(of table: PartitionTable, on layer: Layer) throws(StackError) {
    guard frozen == nil, table.kind == .dos, layer.sectorSize == nil,
      case .medium(let medium) = layer.substance,
      let file = KernelDevice.Node(at: medium.path)
    else { return }
    let other = KernelDevice.all().first { device in
      device.below.contains { $0.node == file && $0.start == 0 }
        && device.sectorSize.map { $0 != table.sectorSize } ?? false
    }
    guard let other, let size = other.sectorSize else { return }
    throw StackError(
      .unsupported,
      "the partition table of \(medium.path) counts sectors of unknown length, and \(other.path) "
        + "shows the file with \(size) bytes in each, not \(table.sectorSize): freeze "
        + "\(other.path), or detach it")
  }

  private mutating func take(
    _ part: PartitionTable.Partition, of table: PartitionTable
  ) throws(StackError) -> Layer {
    pins.append(part.uuid)
    return Layer(try table.map(part))
  }

  /// The number that a selector is; `nil` for a name.
  private static func number(_ selector: String) -> Int? {
    guard !selector.isEmpty,
      selector.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    // No table has more than an Int can count.
    return Int(selector) ?? .max
  }

  private static func list(_ parts: [PartitionTable.Partition]) -> String {
    parts.map { part in
      "\(part.number)\(part.name.isEmpty ? "" : " “\(part.name)”") (\(part.size) bytes)"
    }.joined(separator: ", ")
  }
}
