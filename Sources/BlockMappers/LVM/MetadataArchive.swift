import DataSets
import Glibc
import HostSystem

/// The copies of metadata texts that lvm2 keeps on a host: before each command that
/// changes a group it writes the text as it was then (vgcfgbackup(8), lvm.conf(5),
/// backup/archive).
struct MetadataArchive {
  /// Bytes of a file that is looked at.
  private static let maximumLength = MetadataParser.maximumLength

  /// Where lvm2 has them without other configuration.
  private var directory: String {
    let system = getenv("LVM_SYSTEM_DIR").map { String(cString: $0) }
    return "\(system ?? "/etc/lvm")/archive"
  }

  /// The texts of a group by their numbers.
  ///
  /// - Parameters:
  ///   - id: the group's identifier.
  ///   - numbers: those that are looked for.
  ///   - earliest: seconds of Unix time; texts that were kept before that are of an earlier
  ///     time of the group, whose numbers may have come again.
  func texts(
    of id: VolumeIdentifier, numbers: Range<UInt64>, since earliest: Int64
  ) -> [UInt64: Set<VolumeGroup>] {
    var found: [UInt64: Set<VolumeGroup>] = [:]
    let mark = Array(id.description.utf8)
    for name in DirectoryListing.names(in: directory) where name.hasSuffix(".vg") {
      guard let bytes = try? MountEntry.contents(of: "\(directory)/\(name)"),
        bytes.count <= Self.maximumLength, bytes.contains(mark),
        let section = try? MetadataParser.parse(bytes),
        let time = try? section.integer("creation_time", in: 0...UInt64(Int64.max)),
        Int64(time) >= earliest, let group = try? VolumeGroup(text: section), group.id == id,
        numbers.contains(group.sequenceNumber)
      else { continue }
      found[group.sequenceNumber, default: []].insert(group)
    }
    return found
  }
}
