import FrozenImage
import Glibc
import HostSystem
public import Media

/// Whether this host keeps its hands off a medium that another host owns: it has not activated a
/// volume group on it, assembled an array from it or mounted it, and will not do so by itself.
///
/// What a second host writes to a volume (the log of a file system that it replays, the state of
/// an array that it resyncs, the metadata of a group that it repairs) the owner does not know
/// of: the owner's data are lost.
public struct BystanderCheck: Sendable {
  private let files: HostFiles
  private let uses: DeviceUses
  private let arrays: ArrayAssembly
  private let isRoot: Bool

  /// Looks at this host.
  public init(_ files: HostFiles = HostFiles()) {
    self.init(files, mounts: (try? MountEntry.all()) ?? [], isRoot: geteuid() == 0)
  }

  init(_ files: HostFiles, mounts: [MountEntry], isRoot: Bool) {
    self.files = files
    uses = DeviceUses(files, mounts: mounts)
    arrays = ArrayAssembly(files)
    self.isRoot = isRoot
  }

  private static let danger =
    "what two hosts write to one volume destroys it; only the production host may use it"

  /// What the check finds for a medium.
  public func findings(for medium: OpenMedium) -> [Finding] {
    let names: [String] =
      if let number = medium.deviceNumber {
        uses.tree.name(of: DeviceNumber(packed: number)).map { [$0] } ?? []
      } else {
        uses.tree.loops(over: medium.presentPath ?? medium.path)
      }
    let faces = names.flatMap { uses.tree.faces(of: $0) }
    var found = inUse(faces, of: medium.path)
    let isBusy = !found.isEmpty || medium.isUsed(amongst: Sysfs().blockDevices())
    if found.isEmpty, isBusy { found = [Self.claimed(medium.path)] }
    let signed =
      [medium]
      + faces.compactMap { name in
        "/dev/\(name)" == medium.path ? nil : try? OpenMedium(path: "/dev/\(name)", isShared: true)
      }
    for face in signed {
      for signature in face.signatures {
        found += finding(of: signature, on: face, medium.path).map { [$0] } ?? []
      }
    }
    // One signature may be seen on a partition and on the whole disk, and say the same.
    var told: Set<Finding> = []
    found = found.filter { told.insert($0).inserted }
    return found.isEmpty
      ? [.ok(.bystander, medium.path, "this host does not use it, and nothing here would")] : found
  }

  private static func claimed(_ path: String) -> Finding {
    .wrong(
      .bystander, path, "the kernel of this host uses it, and nothing tells for what",
      meaning: danger,
      advice: "look for a mount in another namespace: grep -l \(path) /proc/[0-9]*/mountinfo")
  }

  /// What this host does with it right now.
  func inUse(_ faces: [String], of path: String) -> [Finding] {
    uses.uses(of: faces).map { use in
      let (what, advice): (String, String) =
        switch use {
        case .logicalVolume(let name, let group):
          (
            "this host has activated the logical volume \(name) on it",
            "vgchange -an \(group), then keep lvm2 away from it (lvmdevices(8), or filter in lvm.conf)"
          )
        case .array(let name):
          (
            "this host has assembled the md array \(name) from it",
            "mdadm --stop /dev/\(name), then a line AUTO -all in mdadm.conf, and update-initramfs -u"
          )
        case .map(let name):
          ("this host has the device-mapper device \(name) on it", "dmsetup remove \(name)")
        case .mounted(let place):
          (
            "this host has it mounted on \(place)",
            "umount \(VisibleText.shellWord(place)), and take it out of /etc/fstab"
          )
        case .swap: ("this host swaps to it", "swapoff it, and take it out of /etc/fstab")
        }
      return .wrong(.bystander, path, what, meaning: Self.danger, advice: advice)
    }
  }

  private func finding(
    of signature: MediumSignature, on face: OpenMedium, _ path: String
  ) -> Finding? {
    switch signature.type {
    case "LVM2_member":
      guard ProgramPath.of("lvm") != nil else { return nil }
      guard isRoot else {
        return .note(
          .bystander, path, "only root can ask lvm2 whether it would activate what is on it")
      }
      // In a part of a disk image lvm2 looks only once a loop device shows it.
      guard face.deviceNumber != nil, !signature.isInPartition else { return nil }
      return Self.finding(LVMView(of: face.path).handling, path)
    case "linux_raid_member":
      guard ProgramPath.of("mdadm") != nil else { return nil }
      return Self.finding(
        arrays.decision(for: signature.uuid, version: signature.version), signature.uuid, path)
    default: return nil
    }
  }

  static func finding(_ handling: LVMView.Handling, _ path: String) -> Finding? {
    let advice = """
      set use_devicesfile = 1 in lvm.conf and name only this host's own devices with lvmdevices \
      --adddev (an empty devices file hides all: touch /etc/lvm/devices/system.devices); on older \
      lvm2 reject it with filter
      """
    switch handling {
    case .ignored, .unused: return nil
    case .seen(let group, let why):
      return .note(
        .bystander, path,
        "lvm2 of this host sees the volume group \(group), and does not activate "
          + "it: \(why)",
        meaning: "a command of lvm2 typed here could still change it", advice: advice)
    case .activated(let group):
      return .wrong(
        .bystander, path,
        "lvm2 of this host sees the volume group \(group), and activates it when the device "
          + "appears or this host starts",
        meaning: danger, advice: advice)
    case .unknown(let said):
      return .note(
        .bystander, path, "lvm2 did not tell whether it would activate what is on it: \(said)")
    }
  }

  static func finding(
    _ decision: ArrayAssembly.Decision, _ identifier: String, _ path: String
  ) -> Finding? {
    let what: String
    switch decision {
    case .ignored, .refused: return nil
    case .automatic:
      what = "mdadm of this host assembles the array \(identifier) when its members appear"
    case .named: what = "mdadm.conf of this host names the array \(identifier), so it is assembled"
    }
    return .wrong(
      .bystander, path, what, meaning: danger,
      advice: decision == .named
        ? "write ARRAY <ignore> UUID=\(identifier) in mdadm.conf, and update-initramfs -u"
        : "write AUTO -all in mdadm.conf, and update-initramfs -u")
  }
}
