import FrozenImage
import Glibc
import HostSystem
import ImageReader
public import Media

/// What a medium is on this host: whether it can be read, how large it is, which hardware.
public enum MediumCheck {
  /// - Parameter path: of a device or a file.
  /// - Returns: the medium where it can be read, and what was found.
  public static func look(
    at path: String, _ files: HostFiles = HostFiles()
  ) -> (medium: OpenMedium?, finding: Finding) {
    guard DeviceProbe.answers(path) else {
      return (
        nil,
        .wrong(
          .medium, path, "it does not answer within five seconds",
          meaning: "reads of what lies on it wait for ever",
          advice:
            "look at its paths (multipath -ll) and its storage; dmesg says what the kernel saw")
      )
    }
    do throws(MediumReadError) {
      let medium = try opened(path)
      return (medium, .ok(.medium, path, description(of: medium, files)))
    } catch {
      return (
        nil,
        .wrong(
          .medium, path, "it cannot be read: \(error.reason)",
          meaning: "images on it cannot be read here",
          advice: geteuid() == 0
            ? "look whether this host is zoned to the storage, and what dmesg says"
            : "ask as root, or as a member of the group that owns the device")
      )
    }
  }

  private struct MediumReadError: Error { let reason: String }

  private static func opened(_ path: String) throws(MediumReadError) -> OpenMedium {
    do {
      let medium = try OpenMedium(path: path, isShared: true)
      var bytes = [UInt8](repeating: 0, count: min(4096, Int(clamping: medium.size)))
      try bytes.withUnsafeMutableBytes { try medium.read(into: $0, at: 0) }
      return medium
    } catch {
      throw MediumReadError(reason: (error as? MediumError)?.reason ?? "\(error)")
    }
  }

  /// One line: size, hardware, and how far the kernel reads ahead.
  static func description(of medium: OpenMedium, _ files: HostFiles) -> String {
    var parts = ["\(medium.size) bytes"]
    if let number = medium.deviceNumber {
      parts.append(Sysfs().hardwareID(ofDevice: medium.path).map { "WWID \($0)" } ?? "no WWID")
      let tree = BlockDeviceTree(files: files)
      let name = tree.name(of: DeviceNumber(packed: number))
      if let ahead = name.flatMap({ tree.readAhead(of: $0) }) {
        // floe reads past the page cache: this is about everybody else.
        parts.append("the kernel reads \(ahead) KiB ahead (floe does not go by it)")
      }
    } else {
      parts.append("a file")
    }
    return parts.joined(separator: ", ")
  }
}
