import FrozenImage
import SystemPackage

extension BtrfsFreezer {
  /// Whether a directory is on a btrfs, be it a subvolume or not.
  public static func isBtrfs(at path: String) -> Bool {
    guard let directory = try? openDirectory(path) else { return false }
    defer { try? directory.close() }
    return isOnBtrfs(directory)
  }

  /// Whether freezing makes a snapshot, rather than taking the subvolume as it is.
  public var makesSnapshot: Bool {
    plannedSnapshotPath(for: UniqueIdentifier(high: 0, low: 0)) != nil
  }

  /// What the user should know although nothing is wrong with the subvolume: a sentence
  /// for each device that the volume is mounted without.
  ///
  /// - Throws: `BtrfsError`.
  public func notes() throws -> [String] {
    let fileSystem = source.fileSystem.id
    return try ChunkTree.devices(of: source.descriptor).compactMap { item in
      let device = VolumeDevice(item, of: source.descriptor, fileSystem: fileSystem)
      guard device.superblock == nil else { return nil }
      let state = device.path.isEmpty ? "is missing" : "(\(device.path)) shows no superblock of it"
      return "device \(item.number) of the btrfs \(fileSystem) \(state): the image is read "
        + "without it, and what has no copy on another device cannot be read"
    }
  }

  /// The chain below the subvolume, from the top down, a line each.
  ///
  /// - Throws: `BtrfsError`.
  public func explanation() throws -> [String] {
    let tree = try ChunkTree(of: source.descriptor)
    var lines = [
      "btrfs subvolume \(source.path) "
        + (makesSnapshot
          ? "(a read-only snapshot is made)" : "(the file system is read-only: taken as it is)"),
      "btrfs address space \(source.fileSystem.id): \(tree.chunks.count) chunks",
    ]
    let data = Dictionary(grouping: tree.chunks.filter(\.holdsData), by: \.profileName)
    for (profile, chunks) in data.sorted(by: { $0.key < $1.key }) {
      let bytes = chunks.reduce(0) { $0 + $1.length }
      lines.append("  data in \(profile): \(chunks.count) chunks, \(bytes) bytes")
    }
    for medium in try VolumeWatch(source).look().media(of: tree, on: source) {
      lines.append(
        "medium \(medium.label): \(medium.path), \(medium.size) bytes, witness: its superblock")
    }
    return lines
  }
}

extension ChunkTree.Chunk {
  /// The profile's name as mkfs.btrfs(8) has it (linux/btrfs_tree.h, `BTRFS_BLOCK_GROUP_…`).
  fileprivate var profileName: String {
    let names: [(bit: UInt64, name: String)] = [
      (3, "raid0"), (4, "raid1"), (5, "dup"), (6, "raid10"), (7, "raid5"), (8, "raid6"),
      (9, "raid1c3"), (10, "raid1c4"),
    ]
    return names.first { type & 1 << $0.bit != 0 }?.name ?? "single"
  }
}
