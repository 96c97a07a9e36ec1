import BlockMappers
import CBlkid
public import DataSets
import FileTrees
import FrozenImage
import Glibc
public import VolumeLayers

/// What a layer holds, by the signature at its start or end, as libblkid knows it.
public struct ContentProbe: Hashable, Sendable {
  /// libblkid's name of the format: "ext4", "xfs", "btrfs", "LVM2_member",
  /// "crypto_LUKS", "swap", "linux_raid_member".
  public let type: String
  /// As the format writes it; empty when it has none.
  public let uuid: String
  /// Empty when it has none.
  public let label: String

  /// The type of an LVM2 physical volume.
  static let physicalVolume = "LVM2_member"

  /// What a layer holds. Where signatures of several formats are, a file system that
  /// another one was made over may have left its own; such a one is passed over when
  /// everything shows that it is stale (`StaleSignature`).
  ///
  /// - Returns: `nil` when no signature is known.
  /// - Throws: `StackError` when the layer cannot be read, or has signatures of several
  ///   formats and so may be taken for the wrong one.
  public static func find(on layer: Layer) throws(StackError) -> ContentProbe? {
    guard layer.size > 0 else { return nil }
    let probe = try superblocks(of: layer)
    errno = 0
    switch blkid_do_safeprobe(probe.handle) {
    case 0: return ContentProbe(probe)
    case 1: return nil
    case -2: return try choose(on: layer)
    default: throw probe.failure(of: layer)
    }
  }

  /// Every format of which a signature is found, in libblkid's order.
  ///
  /// - Throws: `StackError` when the layer cannot be read.
  static func all(on layer: Layer) throws(StackError) -> [ContentProbe] {
    let probe = try superblocks(of: layer)
    var all: [ContentProbe] = []
    // libblkid knows fewer than 100 formats.
    while all.count < 100 {
      errno = 0
      switch blkid_do_probe(probe.handle) {
      case 0:
        guard let found = ContentProbe(probe) else { continue }
        if !all.contains(where: { $0.type == found.type }) { all.append(found) }
      case 1: return all
      default: throw probe.failure(of: layer)
      }
    }
    return all
  }

  private static func superblocks(of layer: Layer) throws(StackError) -> BlkidProbe {
    let probe = try BlkidProbe(layer)
    blkid_probe_enable_superblocks(probe.handle, 1)
    blkid_probe_set_superblocks_flags(
      probe.handle, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL)
    return probe
  }

  private init?(_ probe: BlkidProbe) {
    guard let type = probe.value("TYPE") else { return nil }
    self.init(type: type, uuid: probe.value("UUID") ?? "", label: probe.value("LABEL") ?? "")
  }

  private init(type: String, uuid: String, label: String) {
    self.type = type
    self.uuid = uuid
    self.label = label
  }

  /// Whether the format is one that `ExtFileSystem` reads.
  var isExt: Bool { ExtFileSystem.types.contains(type) }

  /// The one format of several that is not stale.
  ///
  /// - Throws: `StackError` that names them all, when that is not sure.
  private static func choose(on layer: Layer) throws(StackError) -> ContentProbe {
    let all = try all(on: layer)
    let own = all.filter(\.isExt)
    if own.count == 1, let found = own.first, try ExtFileSystem.isWhole(on: layer) {
      var others = all[...]
      others.removeAll { $0.isExt }
      var areStale = true
      for other in others where try !StaleSignature.isStale(other.type, on: layer) {
        areStale = false
      }
      if areStale { return found }
    }
    let names = all.map(\.type).joined(separator: " and of ")
    let advice =
      own.first.map { found in
        "say --format \(found.type) if that is the one in use (wipefs --no-act shows them all)"
      }
      ?? "mount the one that is in use and freeze a directory of it, or remove what is stale with "
      + "wipefs"
    throw StackError(.invalid, "\(layer.title) has signatures of \(names): \(advice)")
  }
}

extension BlkidProbe {
  /// A value of the last probing by its name (libblkid's manual, "Superblocks probing").
  fileprivate func value(_ name: String) -> String? {
    var data: UnsafePointer<CChar>?
    guard blkid_probe_lookup_value(handle, name, &data, nil) == 0, let data else { return nil }
    return String(cString: data)
  }
}
