import Glibc
import SystemPackage

/// The hardware's own identifier of a block device.
enum HardwareID {
  /// What sysfs shows as the device's, or its disk's, `wwid`; empty when it has none.
  static func of(device path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return "" }
    // dev_t as glibc packs it (gnu_dev_major, bits/sysmacros.h).
    let device = UInt64(status.st_rdev)
    let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000
    let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
    // A partition's directory lies in its disk's.
    for place in ["wwid", "device/wwid", "../wwid", "../device/wwid"] {
      guard
        let descriptor = try? FileDescriptor.open(
          FilePath("/sys/dev/block/\(major):\(minor)/\(place)"), .readOnly, options: .closeOnExec)
      else { continue }
      defer { try? descriptor.close() }
      var bytes = [UInt8](repeating: 0, count: 512)
      let count = (try? bytes.withUnsafeMutableBytes { try descriptor.read(into: $0) }) ?? 0
      let text = String(decoding: bytes.prefix(count), as: UTF8.self)
      let name = String(text.prefix { !$0.isNewline })
      if !name.isEmpty { return name }
    }
    return ""
  }
}
