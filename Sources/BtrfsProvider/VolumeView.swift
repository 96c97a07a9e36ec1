import FrozenImage
import Glibc
import Synchronization
import SystemPackage

/// What the media of a volume show at one moment.
struct VolumeView {
  /// The transaction that was committed last, as every device in step shows it.
  let generation: UInt64
  /// The transaction in which chunks or devices changed last.
  let chunkRootGeneration: UInt64
  /// The witness of every device that is in step.
  let configurationID: ConfigurationID
  /// In ascending order of number.
  let devices: [VolumeDevice]

  /// Devices whose witness lags, or that this host does not see.
  var behind: Set<MediumID> {
    Set(devices.lazy.map(\.medium).filter { configurationID[$0] == nil })
  }

  /// Whether a medium is a seed of the volume, and shows the same witness now.
  func isSeed(_ medium: MediumID, showing witness: [UInt8]) -> Bool {
    configurationID[medium] == witness
      && devices.contains { $0.medium == medium && $0.isSeed }
  }

  /// The devices that a chunk tree names, for the backup host.
  func media(of tree: ChunkTree, on subvolume: OpenSubvolume) -> [MediumDescription] {
    let fileSystem = subvolume.fileSystem.id
    return tree.devices.compactMap { item in
      let known = devices.first { $0.item == item }
      let device =
        known ?? VolumeDevice(item, of: subvolume.descriptor, fileSystem: fileSystem)
      return device.description()
    }
  }
}

/// Looks at the superblocks of a volume's devices.
final class VolumeWatch: Sendable {
  private let subvolume: OpenSubvolume
  /// Devices that stayed behind for as long as a commit may take to reach them,
  /// and the generation they showed: they are not waited for again.
  private let laggards = Mutex<[MediumID: UInt64?]>([:])

  /// A commit writes the devices' superblocks one after the other; a device that
  /// shows an older one is looked at again this often, 10 ms apart.
  private static let patience = 100

  init(_ subvolume: OpenSubvolume) {
    self.subvolume = subvolume
  }

  /// What the media show now.
  func look() throws(BtrfsError) -> VolumeView {
    var attempt = 0
    while true {
      let devices = try scan()
      let own = devices.filter { !$0.isSeed }
      guard let newest = own.compactMap(\.superblock?.generation).max() else {
        throw BtrfsError(
          .medium, "no device of the btrfs at \(subvolume.path) shows its superblock")
      }
      let late = own.filter { $0.superblock?.generation != newest }
      let states = late.map { ($0.medium, $0.superblock?.generation) }
      let isKnown = laggards.withLock { known in
        states.allSatisfy { medium, generation in known[medium].map { $0 == generation } ?? false }
      }
      guard isKnown || attempt >= Self.patience else {
        attempt += 1
        usleep(10_000)
        continue
      }
      laggards.withLock { $0 = Dictionary(states, uniquingKeysWith: { first, _ in first }) }
      return try view(of: devices, generation: newest)
    }
  }

  private func scan() throws(BtrfsError) -> [VolumeDevice] {
    try ChunkTree.devices(of: subvolume.descriptor).map {
      VolumeDevice($0, of: subvolume.descriptor, fileSystem: subvolume.fileSystem.id)
    }
  }

  private func view(
    of devices: [VolumeDevice], generation: UInt64
  ) throws(BtrfsError) -> VolumeView {
    let own = devices.filter { !$0.isSeed && $0.superblock?.generation == generation }
    let present = own + devices.filter(\.isSeed)
    let entries = present.compactMap { device in
      device.superblock.map { ConfigurationID.Entry(medium: device.medium, bytes: $0.witness) }
    }
    guard let first = own.first?.superblock else {
      throw BtrfsError(.medium, "no device of the btrfs at \(subvolume.path) shows its superblock")
    }
    guard Set(entries.map(\.medium)).count == entries.count else {
      throw BtrfsError(.malformed, "two devices of the btrfs at \(subvolume.path) have one UUID")
    }
    return VolumeView(
      generation: generation, chunkRootGeneration: first.chunkRootGeneration,
      configurationID: ConfigurationID(entries: entries), devices: devices)
  }
}
