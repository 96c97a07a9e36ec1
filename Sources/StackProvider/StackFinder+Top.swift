import BlockMappers
import DataSets
import FileTrees
import FrozenImage
import ImageReader
import Media
import VolumeLayers

extension StackFinder {
  func top(_ layer: Layer) throws(StackError) -> FoundStack {
    if let selector = selectors.first {
      if let image = try ForeignImage.find(on: layer) {
        throw StackError(.unsupported, "\(layer.title) is \(image.name): \(image.advice)")
      }
      throw StackError(.notFound, "\(layer.title) has no parts, so there is no “\(selector)” in it")
    }
    let mount = device.flatMap { $0.layer === layer ? DeviceMount(ofDevice: $0.path) : nil }
    let top = TopContent(layer: layer, place: place, mount: mount, pin: pins.last)
    let content: (any StackContent)?
    if let frozen, let kind = frozen.kind, let probes = TopContent.probes(of: kind) {
      guard try layer.counted(probes.witness) == frozen.witness else {
        let stack = try Stack(top: layer, identity: probes.identity, witness: probes.witness)
        return FoundStack(
          stack, content: nil, pins: pins + Self.files(of: stack) + stack.pins, notes: notes)
      }
      // What it is was decided when it was frozen.
      content = try top.find(kind)
    } else {
      content = try top.find()
    }
    if let content {
      let stack = try Stack(
        top: layer, identity: content.identity, witness: content.witness)
      return FoundStack(
        stack, content: content, pins: pins + Self.files(of: stack) + stack.pins, notes: notes)
    }
    let windows = Self.beginnings(of: layer)
    let stack = try Stack(top: layer, identity: windows, witness: windows)
    guard stack.validation == .witness else {
      throw StackError(
        .unsupported,
        "the first bytes of \(layer.title) are not kept plainly on a medium, so nothing would show "
          + "that somebody wrote it")
    }
    return FoundStack(
      stack, content: nil, pins: pins + Self.files(of: stack) + stack.pins, notes: notes)
  }

  /// The files that the stack lies on. A header that is rewritten after the freeze must
  /// not lead to others.
  private static func files(of stack: Stack) -> [String] {
    stack.layers.compactMap { layer in
      guard case .medium(let medium) = layer.substance,
        (medium as? OpenMedium)?.deviceNumber == nil
      else { return nil }
      return "file \(medium.path)"
    }
  }

  /// Where the superblocks of most file systems lie: what a volume that nobody reads as
  /// a file system is known by, and what shows that somebody mounted it.
  static func beginnings(of layer: Layer) -> [ProbeWindow] {
    let length: UInt64 = 4096
    // 64 KiB: btrfs.
    return [0, 65536].compactMap { (offset: UInt64) -> ProbeWindow? in
      guard offset < layer.size else { return nil }
      return ProbeWindow(
        layer: 0, offset: offset, length: Int(min(length, layer.size - offset)))
    }
  }
}
