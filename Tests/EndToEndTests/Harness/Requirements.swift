import Glibc
import Testing

/// What the tests need of the machine, and what of it is missing here.
enum Requirements {
  /// One phrase for each thing that is missing.
  static let missing: [String] = {
    var missing: [String] = []
    if geteuid() != 0 {
      missing.append("root (for mounts, loop devices and the btrfs tree search)")
    }
    for device in ["/dev/fuse", "/dev/loop-control"] where access(device, R_OK | W_OK) != 0 {
      missing.append(device)
    }
    let fileSystems = (try? readFile("/proc/filesystems")) ?? []
    if !String(decoding: fileSystems, as: UTF8.self).contains("\tbtrfs\n"),
      (try? run("modprobe", ["btrfs"])) == nil
    {
      missing.append("btrfs in the kernel")
    }
    let programs = [
      "btrfs", "mkfs.btrfs", "rsync", "tar", "setfacl", "setfattr", "chattr", "fstrim", "losetup",
      "python3", "fusermount3", "lvm", "sfdisk", "qemu-img", "mkfs.ext4", "mkfs.xfs", "openssl",
      "nbdkit",
      "nbdfuse", "fio", "stress-ng", "ssh", "sshd", "restic", "borg",
    ]
    for program in programs where (try? attempt("which", [program]))?.succeeded != true {
      missing.append("the program \(program)")
    }
    if access(Floe.program, X_OK) != 0 { missing.append("floe at \(Floe.program)") }
    return missing
  }()

  static var comment: Comment {
    "end-to-end tests need \(missing.joined(separator: ", "))"
  }

  /// In CI nothing may be skipped: there the tests run, and say what is missing by failing.
  static var testsRun: Bool {
    missing.isEmpty || getenv("CI").map { String(cString: $0) == "true" } ?? false
  }
}

/// Every end-to-end test. One at a time: they contend for devices and processors.
@Suite(.serialized, .enabled(if: Requirements.testsRun, Requirements.comment))
struct EndToEnd {
  @Test("What the tests need is there")
  func requirements() {
    #expect(Requirements.missing == [])
  }
}
