import CBlkid
import Glibc

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

  /// - Returns: `nil` when no signature is known.
  /// - Throws: `StackError` when the layer cannot be read, or has signatures of several
  ///   formats and so may be taken for the wrong one.
  public static func find(on layer: Layer) throws(StackError) -> ContentProbe? {
    guard layer.size > 0 else { return nil }
    let probe = try BlkidProbe(layer)
    blkid_probe_enable_superblocks(probe.handle, 1)
    blkid_probe_set_superblocks_flags(
      probe.handle, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL)
    errno = 0
    switch blkid_do_safeprobe(probe.handle) {
    case 0:
      guard let type = probe.value("TYPE") else { return nil }
      return ContentProbe(
        type: type, uuid: probe.value("UUID") ?? "", label: probe.value("LABEL") ?? "")
    case 1:
      return nil
    case -2:
      throw StackError(
        "\(layer.title) has signatures of several formats; wipefs shows them and removes the stale")
    default:
      throw probe.failure(of: layer)
    }
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
