import Foundation
import HostSystem

@testable import HostChecks

/// The files in which a host tells of itself, written down, in a directory that goes with it.
final class RecordedHost {
  let root: String
  var files: HostFiles { HostFiles(root: root) }

  /// - Parameter texts: what stands in each file, by its path.
  init(_ texts: [String: String]) throws {
    root =
      FileManager.default.temporaryDirectory
      .appending(path: "floe-host-\(UUID().uuidString)").path
    for (path, text) in texts {
      let place = URL(filePath: root + path)
      try FileManager.default.createDirectory(
        at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: place)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  /// A disk of two paths, sda and sdb, with a multipath map dm-0 over both, a partition dm-1 of
  /// that and on it the logical volume dm-2 of the group "vg-a"; sdc is half of the array md0,
  /// sdd half of a btrfs, sde alone.
  static func storage(_ more: [String: String] = [:]) throws -> RecordedHost {
    let block = "/sys/class/block"
    var texts = [
      "\(block)/sda/dev": "8:0\n", "\(block)/sda/holders/dm-0/x": "",
      "\(block)/sda/sda1/partition": "1\n", "\(block)/sda1/dev": "8:1\n",
      "\(block)/sda/queue/read_ahead_kb": "256\n",
      "\(block)/sdb/dev": "8:16\n", "\(block)/sdb/holders/dm-0/x": "",
      "\(block)/dm-0/dev": "253:0\n", "\(block)/dm-0/dm/name": "mpatha\n",
      "\(block)/dm-0/dm/uuid": "mpath-3600a098000aabbccddeeff0011223344\n",
      "\(block)/dm-0/holders/dm-1/x": "",
      "\(block)/dm-1/dev": "253:1\n", "\(block)/dm-1/dm/name": "mpatha-part1\n",
      "\(block)/dm-1/dm/uuid": "part1-mpath-3600a098000aabbccddeeff0011223344\n",
      "\(block)/sdc/dev": "8:32\n", "\(block)/sdc/holders/md0/x": "",
      "\(block)/md0/dev": "9:0\n", "\(block)/md0/md/array_state": "clean\n",
      "\(block)/sdd/dev": "8:48\n", "\(block)/sde/dev": "8:64\n",
      "/sys/fs/btrfs/0b1c/devices/sdd/x": "", "/sys/fs/btrfs/0b1c/devices/sdz/x": "",
      "\(block)/loop0/dev": "7:0\n", "\(block)/loop0/loop/backing_file": "/srv/disk image\n",
    ]
    texts.merge(more) { $1 }
    return try RecordedHost(texts)
  }

  /// What the kernel shows of an active logical volume on dm-1.
  static let activeVolume = [
    "/sys/class/block/dm-1/holders/dm-2/x": "", "/sys/class/block/dm-2/dev": "253:2\n",
    "/sys/class/block/dm-2/dm/name": "vg--a-root\n",
    "/sys/class/block/dm-2/dm/uuid": "LVM-0123456789abcdef\n",
  ]
}
