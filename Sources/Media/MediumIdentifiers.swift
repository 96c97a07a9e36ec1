import CBlkid
import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import SystemPackage

/// An identifier that no other medium has, as a format keeps it on a medium.
struct CarriedIdentifier {
  /// As people write it.
  let text: String
  /// The ways in which its bytes may lie on the medium.
  let forms: [[UInt8]]

  /// - Parameters:
  ///   - text: as libblkid writes it. 32 hexadecimal digits are a UUID, 32 letters and
  ///     digits the identifier of a physical volume; what is shorter (a serial number, a
  ///     date) is not unique.
  ///   - raw: as it lies on the medium, if libblkid tells.
  init?(_ text: String, raw: [UInt8] = []) {
    let compact = text.utf8.filter { $0 != UInt8(ascii: "-") }
    guard compact.count == 32, Set(compact).count > 1 else { return nil }
    var forms = [raw, Array(text.utf8), compact]
    if let bytes = [UInt8](hexadecimal: String(decoding: compact, as: UTF8.self)) {
      // A GUID's first three numbers are little-endian (UEFI specification, appendix A).
      let guid = bytes[0..<4].reversed() + bytes[4..<6].reversed() + bytes[6..<8].reversed()
      forms += [bytes, guid + bytes[8...]]
    }
    self.text = text
    self.forms = forms.filter { $0.count >= 16 }
  }

  /// Whether the bytes at one place of a medium have it in them.
  func isIn(_ bytes: ArraySlice<UInt8>) -> Bool {
    forms.contains { form in
      guard bytes.count >= form.count else { return false }
      return (bytes.startIndex...bytes.endIndex - form.count).contains {
        bytes[$0...].starts(with: form)
      }
    }
  }
}

extension OpenMedium {
  /// An identifier of this medium, or of a partition of it, that the identity of a
  /// description contains; `nil` when what the description calls an identity are some
  /// bytes, which whoever wrote it may have chosen because they are known.
  ///
  /// libblkid tells what lies on the medium, so that nothing here knows a format, and no
  /// description can point at a place where it had such bytes written.
  func identifier(in description: MediumDescription) -> String? {
    var parts: [ArraySlice<UInt8>] = []
    var start = 0
    for fragment in description.identity.windows.flatMap(\.fragments) {
      let (end, overflow) = start.addingReportingOverflow(fragment.length)
      guard !overflow, end <= description.identityBytes.count else { return nil }
      parts.append(description.identityBytes[start..<end])
      start = end
    }
    guard let copy = SignatureCopy(of: self) else { return nil }
    return copy.first { identifier in parts.contains { identifier.isIn($0) } }?.text
  }
}

/// A format that libblkid finds on a medium.
package struct MediumSignature: Hashable, Sendable {
  /// As libblkid calls the format.
  package let type: String
  /// What the format identifies itself by, as people write it; empty for none.
  package let uuid: String
  /// The format's version; empty when libblkid tells none.
  package let version: String
  /// Whether it lies in a partition, and not where the medium begins.
  package let isInPartition: Bool
}

extension OpenMedium {
  /// The formats on the medium and on its partitions, read past the page cache.
  package var signatures: [MediumSignature] { SignatureCopy(of: self)?.signatures() ?? [] }
}

/// The places of a medium where formats keep their signatures, in a sparse file in memory
/// that libblkid reads: the medium itself is read past the page cache.
private final class SignatureCopy {
  private let medium: OpenMedium
  private let descriptor: Int32

  /// File systems that libblkid knows have their superblock within these bytes.
  private static let headLength: UInt64 = 2 << 20
  /// At the end: the copy of a table, the superblocks of arrays.
  private static let tailLength: UInt64 = 1 << 20
  /// Most partitions that are looked at.
  private static let partitionLimit: Int32 = 128

  init?(of medium: OpenMedium) {
    self.medium = medium
    descriptor = floe_memory_file("floe-probe")
    guard descriptor >= 0, let size = off_t(exactly: medium.size), size > 0,
      ftruncate(descriptor, size) == 0
    else { return nil }
    let head = min(medium.size, Self.headLength)
    copy(0..<head)
    copy(max(head, medium.size - min(medium.size, Self.tailLength))..<medium.size)
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  /// An image file does not say how long the sectors of its disk were.
  private var sectorSizes: [Int] { medium.deviceNumber == nil ? [512, 4096] : [medium.alignment] }

  /// The formats of the medium, then those of its partitions.
  func signatures() -> [MediumSignature] {
    var found: [MediumSignature] = []
    for sector in sectorSizes {
      guard let probe = probe(0..<medium.size, sector: sector) else { continue }
      defer { blkid_free_probe(probe) }
      found += Self.signatures(of: probe, isInPartition: false)
      guard let list = blkid_probe_get_partitions(probe) else { continue }
      for index in 0..<min(blkid_partlist_numof_partitions(list), Self.partitionLimit) {
        guard let partition = blkid_partlist_get_partition(list, index),
          let contents = self.probe(
            ofSectors: UInt64(clamping: blkid_partition_get_start(partition)),
            UInt64(clamping: blkid_partition_get_size(partition)))
        else { continue }
        defer { blkid_free_probe(contents) }
        found += Self.signatures(of: contents, isInPartition: true)
      }
    }
    return found.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private static func signatures(of probe: blkid_probe, isInPartition: Bool) -> [MediumSignature] {
    var found: [MediumSignature] = []
    var rounds = 0
    while rounds < 64, blkid_do_probe(probe) == 0 {
      rounds += 1
      let type = text("TYPE", of: probe)
      guard !type.isEmpty else { continue }
      found.append(
        MediumSignature(
          type: type, uuid: text("UUID", of: probe), version: text("VERSION", of: probe),
          isInPartition: isInPartition))
    }
    return found
  }

  /// The first identifier that is wanted, of the medium's own and then of its partitions'.
  func first(where isWanted: (CarriedIdentifier) -> Bool) -> CarriedIdentifier? {
    for sector in sectorSizes {
      guard let probe = probe(0..<medium.size, sector: sector) else { continue }
      defer { blkid_free_probe(probe) }
      if let found = Self.identifiers(of: probe).first(where: isWanted) { return found }
      guard let list = blkid_probe_get_partitions(probe) else { continue }
      for index in 0..<min(blkid_partlist_numof_partitions(list), Self.partitionLimit) {
        guard let partition = blkid_partlist_get_partition(list, index) else { continue }
        if let text = blkid_partition_get_uuid(partition),
          let found = CarriedIdentifier(String(cString: text)), isWanted(found)
        {
          return found
        }
        // libblkid counts in sectors of 512 bytes, whatever the disk's are.
        let start = UInt64(clamping: blkid_partition_get_start(partition))
        let length = UInt64(clamping: blkid_partition_get_size(partition))
        if let found = contents(ofSectors: start, length)?.first(where: isWanted) { return found }
      }
    }
    return nil
  }

  private func contents(ofSectors start: UInt64, _ length: UInt64) -> [CarriedIdentifier]? {
    guard let probe = self.probe(ofSectors: start, length) else { return nil }
    defer { blkid_free_probe(probe) }
    return Self.identifiers(of: probe)
  }

  /// Looks at a partition; the caller frees what is returned.
  ///
  /// - Parameter start: counted, as the length, in sectors of 512 bytes.
  private func probe(ofSectors start: UInt64, _ length: UInt64) -> blkid_probe? {
    guard length > 0, start < medium.size / 512 else { return nil }
    let begin = start * 512
    let end = length > (medium.size - begin) / 512 ? medium.size : begin + length * 512
    copy(begin..<min(end, begin + min(Self.headLength, end - begin)))
    return probe(begin..<end, sector: 512)
  }

  private func probe(_ range: Range<UInt64>, sector: Int) -> blkid_probe? {
    guard let probe = blkid_new_probe() else { return nil }
    let start = blkid_loff_t(clamping: range.lowerBound)
    let size = blkid_loff_t(clamping: range.upperBound - range.lowerBound)
    guard blkid_probe_set_device(probe, descriptor, start, size) == 0,
      blkid_probe_set_sectorsize(probe, UInt32(clamping: sector)) == 0
    else {
      blkid_free_probe(probe)
      return nil
    }
    blkid_probe_enable_superblocks(probe, 1)
    blkid_probe_set_superblocks_flags(
      probe,
      BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_UUIDRAW | BLKID_SUBLKS_VERSION)
    blkid_probe_enable_partitions(probe, 1)
    return probe
  }

  /// Every identifier that libblkid finds, also where there are signatures of several
  /// formats: each has to be known to be pointed at.
  private static func identifiers(of probe: blkid_probe) -> [CarriedIdentifier] {
    var found: [CarriedIdentifier] = []
    var rounds = 0
    while rounds < 64, blkid_do_probe(probe) == 0 {
      rounds += 1
      let raw = value("UUID_RAW", of: probe) ?? []
      for name in ["UUID", "UUID_SUB", "PTUUID"] {
        if let identifier = CarriedIdentifier(text(name, of: probe), raw: name == "UUID" ? raw : [])
        {
          found.append(identifier)
        }
      }
    }
    return found
  }

  /// A value as text; empty when libblkid has none.
  private static func text(_ name: String, of probe: blkid_probe) -> String {
    String(decoding: (value(name, of: probe) ?? []).prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func value(_ name: String, of probe: blkid_probe) -> [UInt8]? {
    var data: UnsafePointer<CChar>?
    var length = 0
    guard blkid_probe_lookup_value(probe, name, &data, &length) == 0, let data else { return nil }
    return Array(UnsafeRawBufferPointer(start: data, count: length))
  }

  /// Copies a range; what cannot be read stays zeros, in which no format is found.
  private func copy(_ range: Range<UInt64>) {
    guard !range.isEmpty, let length = Int(exactly: range.upperBound - range.lowerBound) else {
      return
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
    defer { buffer.deallocate() }
    guard (try? medium.read(into: buffer, at: range.lowerBound)) != nil else { return }
    try? FileDescriptor(rawValue: descriptor).write(
      all: UnsafeRawBufferPointer(buffer), at: range.lowerBound)
  }
}
