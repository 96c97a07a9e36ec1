import BlockMappers
import DataSets
import FileTrees
import FrozenImage
import Glibc
import HostSystem
import Media
import VolumeLayers

/// Looks for the file system on the top layer of a stack.
struct TopContent {
  let layer: Layer
  let place: StackPlace
  /// Where this host has the layer mounted, when it is a device of its own.
  let mount: DeviceMount?
  /// What tells the volume on the way up apart that was met last.
  let pin: String?

  /// - Returns: `nil` for bytes that are taken as a raw volume.
  /// - Throws: `StackError` that says what is there instead, and what to do.
  func find() throws(StackError) -> (any StackContent)? {
    // The user's word, then the kernel's, then the bytes: of several signatures each may
    // be the stale one.
    if place.content == .ext || mount?.isExt == true { return try ext }
    if place.content == .xfs, layer.isSnapshot { return try xfs }
    let found = mount == nil ? try ContentProbe.find(on: layer) : nil
    if found?.isExt == true { return try ext }
    if layer.isSnapshot, (found?.type ?? mount?.type) == XFSFileSystem.kind { return try xfs }
    guard place.assumesFrozen else { throw try refusal(found) }
    return nil
  }

  /// What was frozen there, which was decided then.
  ///
  /// - Parameter kind: of the file system.
  func find(_ kind: String) throws(StackError) -> any StackContent {
    kind == XFSFileSystem.kind ? try xfs : try ext
  }

  /// Identity and witness of a kind of file system; `nil` when there is no such kind.
  static func probes(of kind: String?) -> (identity: [ProbeWindow], witness: [ProbeWindow])? {
    switch kind {
    case ExtFileSystem.kind: (ExtFileSystem.identity, ExtFileSystem.witness)
    case XFSFileSystem.kind: (XFSFileSystem.identity, XFSFileSystem.witness)
    default: nil
    }
  }

  private var ext: ExtFileSystem {
    get throws(StackError) { try ExtFileSystem(on: layer, wasQuiet: place.wasQuiet == true) }
  }

  private var xfs: XFSFileSystem {
    get throws(StackError) {
      let (pin, size) = (pin, layer.size)
      return try XFSFileSystem(on: layer, wasQuiet: place.wasQuiet == true) {
        let shown = KernelDevice.all().first {
          $0.logicalVolume == pin && pin != nil && $0.size == size
        }
        guard let shown else { return nil }
        let mounts = MountedDevice.all().filter { $0.device == shown.number }
        return XFSFileSystem.Device(
          path: shown.path, number: DeviceNumber(packed: shown.number),
          isReadOnly: shown.isReadOnly, isMountedWithoutLog: mounts.contains(where: \.hasNoLog))
      }
    }
  }

  /// Why what is there is not taken as it is.
  private func refusal(_ found: ContentProbe?) throws(StackError) -> StackError {
    let ofFile = layer.file?.presentPath.flatMap { DeviceMount(ofFile: $0) }
    if let mount = mount ?? ofFile {
      let advice = ForeignContent(type: mount.type).adviceWhenMounted(at: mount.mountpoint)
      return StackError(
        .invalid, "\(layer.title) is mounted at \(mount.mountpoint) (\(mount.type)): \(advice)")
    }
    if let image = try ForeignImage.find(on: layer) {
      return StackError(.unsupported, "\(layer.title) is \(image.name): \(image.advice)")
    }
    let promise = "--assume-frozen takes it as a raw volume, and you promise that nobody writes it"
    guard let found else {
      return StackError(
        .unsupported,
        "\(layer.title) holds nothing that floe knows, so nothing shows that it rests; \(promise)")
    }
    if layer.isSnapshot, found.type == "btrfs" {
      return StackError(
        .unsupported,
        "\(layer.title) is a snapshot of a device of a btrfs, which must not be mounted where the "
          + "btrfs itself is: freeze a subvolume of that, by its directory")
    }
    let content = ForeignContent(type: found.type)
    // The directory is there as long as a btrfs of this UUID is mounted (fs/btrfs/sysfs.c).
    let isInUse = found.type == "btrfs" && access("/sys/fs/btrfs/\(found.uuid)", F_OK) == 0
    let raw = content.isWholeByItself && !isInUse ? "; \(promise)" : ""
    return StackError(.unsupported, "\(layer.title) \(content.what): \(content.advice)\(raw)")
  }
}
