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

  /// - Returns: `nil` for bytes that are taken as a raw volume.
  /// - Throws: `StackError` that says what is there instead, and what to do.
  func find() throws(StackError) -> ExtFileSystem? {
    // The user's word, then the kernel's, then the bytes: of several signatures each may
    // be the stale one.
    if place.content == .ext || mount?.isExt == true { return try ExtFileSystem(on: layer) }
    let found = mount == nil ? try ContentProbe.find(on: layer) : nil
    if found?.isExt == true { return try ExtFileSystem(on: layer) }
    guard place.assumesFrozen else { throw try refusal(found) }
    return nil
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
    let content = ForeignContent(type: found.type)
    // The directory is there as long as a btrfs of this UUID is mounted (fs/btrfs/sysfs.c).
    let isInUse = found.type == "btrfs" && access("/sys/fs/btrfs/\(found.uuid)", F_OK) == 0
    let raw = content.isWholeByItself && !isInUse ? "; \(promise)" : ""
    return StackError(.unsupported, "\(layer.title) \(content.what): \(content.advice)\(raw)")
  }
}
