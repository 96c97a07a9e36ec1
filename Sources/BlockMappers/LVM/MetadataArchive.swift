import DataSets
import Glibc
import HostSystem

/// The copies of metadata texts that lvm2 keeps on a host: before each command that
/// changes a group it writes the text as it was then to its archive, and after it the new one
/// to its backup (vgcfgbackup(8), lvm.conf(5), backup/archive and backup/backup).
struct MetadataArchive {
  /// Bytes of a file that is looked at.
  private static let maximumLength = MetadataParser.maximumLength
  /// Nanoseconds that lvm2 may take to tell its configuration, which is in files only.
  private static let patience: UInt64 = 10_000_000_000

  /// Where lvm2 has them. Only lvm2 knows what its configuration says: lvm.conf, lvmlocal.conf,
  /// those of the host's tags and profiles, and its defaults, one after the other. Where it
  /// tells nothing, as it does without any lvm.conf, they are where they are by default.
  static func directories() -> [String] {
    let keys = ["archive_dir", "backup_dir"]
    let words = ["lvmconfig", "--typeconfig", "full"] + keys.map { "backup/\($0)" }
    if let output = ChildProcess.output(of: words[0], words, within: patience),
      let settings = try? MetadataParser.parse(output)
    {
      let named = keys.compactMap { try? settings.string($0) }
      if named.count == keys.count { return named }
    }
    let system = getenv("LVM_SYSTEM_DIR").map { String(cString: $0) } ?? "/etc/lvm"
    return ["\(system)/archive", "\(system)/backup"]
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
    let files = Self.directories().flatMap { directory in
      DirectoryListing.names(in: directory).map { "\(directory)/\($0)" }
    }
    for file in files {
      guard let bytes = try? CompleteFile.read(file),
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
