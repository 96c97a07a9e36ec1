import Glibc

/// An LVM2 logical volume over physical volumes on loop devices, made by the real lvm2.
/// No device-mapper shows it: what it holds is put there by the places that lvs tells.
final class LogicalVolume {
  let scratch: Scratch
  /// Unique, as lvm2 and floe look at every block device.
  let group: String
  let name = "root"
  /// The physical volumes' devices.
  let devices: [String]
  /// Where lvm2's configuration is: it must see our devices only, and no udev.
  private let system: String

  /// What floe is told to freeze.
  var path: String { "\(group)/\(name)" }

  /// - Parameter content: the path of a file with what the volume is to hold.
  init(in scratch: Scratch, content: String, megabytes: Int, volumes: Int = 2) throws {
    self.scratch = scratch
    group = "floe\(getpid())x\(now() % 1_000_000)"
    system = try scratch.directory("lvm")
    // Room to move: the volume fills about half of the group.
    let each = megabytes * 2 / volumes + 16
    devices = try (0..<volumes).map { number in
      let image = "\(scratch.path)/physical-\(number)"
      try run("truncate", ["-s", "\(each)M", image])
      return try Volume.attach(image)
    }
    let filter = devices.map { "\"a|^\($0)$|\"" }.joined(separator: ", ")
    try writeFile(
      "\(system)/lvm.conf",
      Array(
        """
        devices { filter = [ \(filter), "r|.*|" ] use_devicesfile = 0
          obtain_device_list_from_udev = 0 }
        activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
        global { use_lvmpolld = 0 event_activation = 0 }
        backup { backup = 0 archive = 0 }

        """.utf8))
    // The mover commits several times a second, and lvm2 keeps no archive here.
    try lvm("vgcreate", "-s", "1m", "--metadatasize", "4m", group, arguments: devices)
    try lvm("lvcreate", "-an", "-Zn", "-Wn", arguments: ["-l", "\(megabytes)", "-n", name, group])
    try tool("fill", content)
  }

  /// Runs a command of lvm2.
  @discardableResult
  func lvm(_ words: String..., arguments: [String] = []) throws -> String {
    try run(
      "env", ["LVM_SYSTEM_DIR=\(system)", "lvm"] + words + ["--driverloaded", "n"] + arguments)
  }

  private func tool(_ work: String, _ argument: String) throws {
    try run("env", command(work, argument))
  }

  private func command(_ work: String, _ argument: String) -> [String] {
    [
      "LVM_SYSTEM_DIR=\(system)", "\(Floe.repository)/Tests/EndToEndTests/mover/lvm-volume", work,
      group, name, argument,
    ]
  }

  /// Moves the volume's extents, and poisons the places that they leave.
  func mover() throws -> Mover {
    let log = "\(scratch.path)/mover.log"
    return Mover(try scratch.start("env", command("move", log)), log: log)
  }
}

/// An ext4 in an image file with a tree in it.
enum Ext4Image {
  /// Makes the image and returns its path.
  static func make(
    in scratch: Scratch, megabytes: Int, name: String = "ext4.img", build: (Tree) throws -> Void
  ) throws -> String {
    let image = "\(scratch.path)/\(name)"
    try run("truncate", ["-s", "\(megabytes)M", image])
    try run("mkfs.ext4", ["-q", "-b", "4096", "-L", "data", image])
    let mountpoint = try scratch.directory("\(name).build")
    try run("mount", ["-o", "loop", image, mountpoint])
    try build(Tree(mountpoint))
    try run("umount", [mountpoint])
    return image
  }

  /// Mounts a copy of an image by the kernel, for reading, and returns the mountpoint:
  /// the reference of what the image holds.
  static func reference(_ image: String, in scratch: Scratch) throws -> String {
    let copy = "\(image).reference"
    try run("cp", ["--sparse=always", image, copy])
    let mountpoint = try scratch.directory("reference")
    try run("mount", ["-o", "loop,ro,noload", copy, mountpoint])
    return mountpoint
  }
}
