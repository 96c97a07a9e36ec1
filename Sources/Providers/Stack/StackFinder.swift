import FrozenImage
import ImageReader
public import LinuxIO

/// Finds the layers of a volume stack, from the media up, and what the top of it holds.
public struct StackFinder {
  private let place: StackPlace
  private let frozen: StackFreezer.Image?
  private var selectors: ArraySlice<String>
  /// What tells the parts that were taken apart from all others: a partition's or a
  /// logical volume's UUID.
  private var pins: [String] = []
  private var notes: [String] = []
  /// The device that the stack begins on.
  private var device: (path: String, layer: Layer)?
  private let sysfs: Sysfs

  /// - Parameters:
  ///   - place: where to begin, and what to take on the way.
  ///   - frozen: what was frozen there. What is there now is read as a file system only
  ///     when its witness is still the same: one that somebody mounted may make no sense
  ///     in between.
  ///   - sysfs: where the kernel shows this host's devices.
  public init(
    _ place: StackPlace, frozen: StackFreezer.Image? = nil, sysfs: Sysfs = Sysfs()
  ) {
    self.place = place
    self.frozen = frozen
    self.sysfs = sysfs
    selectors = place.selectors[...]
  }

  /// - Throws: `StackError` that says which layer cannot be read, what has to be named,
  ///   or why what is there is not at rest.
  public func find() throws(StackError) -> FoundStack {
    var finder = self
    return try finder.climb()
  }

  /// The layer that a block device is, down to its media.
  ///
  /// - Parameter path: the device's path.
  /// - Throws: `StackError`.
  public static func layer(ofDevice path: String) throws(StackError) -> Layer {
    var finder = StackFinder(
      StackPlace(
        start: .path(path), selectors: [], physicalVolumes: [], format: .raw, assumesFrozen: false))
    return try finder.start()
  }

  private mutating func climb() throws(StackError) -> FoundStack {
    var layer = try start()
    // A stack is no deeper than the backup host resolves it.
    for _ in 0..<StoreMap.maximumDepth {
      guard let next = try step(up: layer) else { return try top(layer) }
      layer = next
    }
    throw StackError("the stack below \(layer.title) is too deep")
  }

  private mutating func start() throws(StackError) -> Layer {
    switch place.start {
    case .path(let path):
      if let device = try StackDevice.find(path) {
        let layer = try layer(of: device, depth: 0)
        self.device = (path, layer)
        return try place.disk(on: layer, at: path)
      }
      return try place.disk(on: Self.medium(path), at: path)
    case .volumeGroup(let name):
      return try place.disk(on: logicalVolume(of: name, on: []), at: nil)
    }
  }

  private static func medium(_ path: String) throws(StackError) -> Layer {
    do throws(MediumError) {
      return Layer(try OpenMedium(path: path))
    } catch {
      throw StackError("\(path): \(error.reason)")
    }
  }

  /// The layer that a block device is: what the kernel made it of, where that is known,
  /// since a backup host may see only that.
  private mutating func layer(
    of device: StackDevice, depth: Int
  ) throws(StackError) -> Layer {
    guard depth < 8 else { throw StackError("\(device.path) is made of too many devices") }
    if device.partition == nil, let map = sysfs.multipathMap(overDevice: device.path),
      let whole = try StackDevice.find(map)
    {
      return try layer(of: whole, depth: depth + 1)
    }
    if let loop = try LoopDevice.layer(ofDevice: device.path) { return loop }
    if let (disk, number) = device.partition {
      let below = try layer(of: disk, depth: depth + 1)
      guard let table = try PartitionTable.find(on: below) else {
        throw StackError("\(disk.path) has no partition table although \(device.path) is its part")
      }
      return try partition("\(number)", of: table, on: below)
    }
    if let volume = device.logicalVolume {
      return try logicalVolume(of: nil, id: volume, on: [])
    }
    return try Self.medium(device.path)
  }

  /// The layer that a layer holds; `nil` when it is the top.
  private mutating func step(up layer: Layer) throws(StackError) -> Layer? {
    if selectors.isEmpty, isTop(layer) { return nil }
    if let volume = try PhysicalVolume.find(on: layer) {
      return try logicalVolume(of: nil, on: [volume])
    }
    // A file system may begin with what looks like a boot record.
    if selectors.isEmpty, try ContentProbe.find(on: layer) != nil { return nil }
    guard let table = try PartitionTable.find(on: layer) else { return nil }
    return try partition(selectors.popFirst(), of: table, on: layer)
  }

  /// Whether a file system is known to be on the layer before anything else is looked for.
  private func isTop(_ layer: Layer) -> Bool {
    if place.content != nil { return true }
    if let frozen, frozen.kind == ExtFileSystem.kind,
      (try? layer.counted(ExtFileSystem.witness)) == frozen.witness
    {
      return true
    }
    guard let device, device.layer === layer else { return false }
    return DeviceMount(ofDevice: device.path) != nil
  }

  private mutating func partition(
    _ selector: String?, of table: PartitionTable, on layer: Layer
  ) throws(StackError) -> Layer {
    let parts = table.partitions.filter { !$0.isExtended }
    let matches = parts.filter { part in
      selector.map { $0 == "\(part.number)" || $0 == part.name && !part.name.isEmpty } ?? true
    }
    guard matches.count == 1, let part = matches.first else {
      let list = parts.map { part in
        "\(part.number)\(part.name.isEmpty ? "" : " “\(part.name)”") (\(part.size) bytes)"
      }.joined(separator: ", ")
      throw StackError(
        selector.map { "\(layer.title) has no partition \($0); there are: \(list)" }
          ?? "which partition of \(layer.title) is meant? There are: \(list)")
    }
    pins.append(part.uuid)
    return Layer(try table.map(part))
  }

  /// A logical volume: the one that is selected, or the only one.
  ///
  /// - Parameters:
  ///   - group: its group's name; `nil` for the group of `known`, or that of `id`.
  ///   - id: the volume's identifier, where the kernel tells it.
  ///   - known: a physical volume that was met on the way up.
  private mutating func logicalVolume(
    of group: String?, id: (group: String, volume: String)? = nil, on known: [PhysicalVolume]
  ) throws(StackError) -> Layer {
    let volumes = try physicalVolumes(beside: known)
    let groups = FoundVolumeGroup.groups(of: volumes).filter { found in
      known.allSatisfy { known in found.group.members.contains { $0.id == known.id } }
    }
    if let id {
      // A group that was cloned and imported keeps its volumes' own identifiers.
      for found in groups where "\(found.group.id)" == id.group {
        if let volume = found.group.logicalVolumes.first(where: { "\($0.id)" == id.volume }) {
          return try map(volume, of: found)
        }
      }
      throw StackError("the logical volume \(id.volume) is on no physical volume that was found")
    }
    let met = known.isEmpty ? nil : groups.first.map { "\($0.group.id)" }
    let found = try FoundVolumeGroup.choose(group ?? met, of: volumes)
    let name = selectors.popFirst().map { selector in
      // "vg/root" names the group once more.
      let prefix = found.group.name + "/"
      return selector.hasPrefix(prefix) ? String(selector.dropFirst(prefix.count)) : selector
    }
    return try map(try found.choose(name), of: found)
  }

  private mutating func map(
    _ volume: LogicalVolume, of found: FoundVolumeGroup
  ) throws(StackError) -> Layer {
    pins.append("\(found.group.id) \(volume.id)")
    for member in found.behind {
      notes.append(
        "the LVM2 metadata on \(member.layer.title) are older than elsewhere in the volume group "
          + "\(found.group.name): a commit did not reach it")
    }
    return Layer(try found.map(volume))
  }

  /// Physical volumes: the one that was met, and those at the places that the user
  /// named, or on any block device of this host. A disk image is looked at alone.
  private mutating func physicalVolumes(
    beside known: [PhysicalVolume]
  ) throws(StackError) -> [PhysicalVolume] {
    var volumes = known
    var paths = place.physicalVolumes
    if paths.isEmpty {
      let isInFile = known.contains { $0.layer.isInFile }
      paths = isInFile ? [] : sysfs.blockDevices()
    }
    for path in paths {
      let isNamed = !place.physicalVolumes.isEmpty
      // Logical volumes may belong to guests, whose bytes say what they like.
      if !isNamed, (try? StackDevice.find(path))?.logicalVolume != nil { continue }
      // Its multipath map shows the same bytes.
      if !isNamed, sysfs.multipathMap(overDevice: path) != nil { continue }
      guard isNamed || DeviceProbe.answers(path) else {
        let note = "\(path) does not answer and was left out of the search"
        if !notes.contains(note) { notes.append(note) }
        continue
      }
      do throws(StackError) {
        let layer = try Self.medium(path)
        guard let volume = try PhysicalVolume.find(on: layer) else { continue }
        // A partition that was met on its disk is a device of its own as well.
        let places = [layer.base, try? Self.layer(ofDevice: path).base].compactMap { $0 }
        let isKnown = known.contains { known in
          places.contains { known.layer.base?.isSame(as: $0) ?? false }
        }
        if !isKnown { volumes.append(volume) }
      } catch {
        // Of devices that nobody named, those that cannot be read are not ours.
        if isNamed { throw error }
      }
    }
    return volumes
  }

  private func top(_ layer: Layer) throws(StackError) -> FoundStack {
    if let selector = selectors.first {
      if let image = try ForeignImage.find(on: layer) {
        throw StackError("\(layer.title) is \(image.name): \(image.advice)")
      }
      throw StackError("\(layer.title) has no parts, so there is no “\(selector)” in it")
    }
    let content: ExtFileSystem?
    if let frozen, frozen.kind == ExtFileSystem.kind {
      guard try layer.counted(ExtFileSystem.witness) == frozen.witness else {
        let stack = try Stack(
          top: layer, identity: ExtFileSystem.identity, witness: ExtFileSystem.witness)
        return FoundStack(stack, content: nil, pins: pins + Self.files(of: stack), notes: notes)
      }
      // What it is was decided when it was frozen.
      content = try ExtFileSystem(on: layer)
    } else {
      let mount = device.flatMap { $0.layer === layer ? DeviceMount(ofDevice: $0.path) : nil }
      content = try TopContent(layer: layer, place: place, mount: mount).find()
    }
    if let content {
      let stack = try Stack(
        top: layer, identity: content.identity, witness: content.witness)
      return FoundStack(
        stack, content: content, pins: pins + Self.files(of: stack), notes: notes)
    }
    let windows = Self.beginnings(of: layer)
    let stack = try Stack(top: layer, identity: windows, witness: windows)
    guard stack.validation == .witness else {
      throw StackError(
        "the first bytes of \(layer.title) are not kept plainly on a medium, so nothing would show "
          + "that somebody wrote it")
    }
    return FoundStack(stack, content: nil, pins: pins + Self.files(of: stack), notes: notes)
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

extension Layer {
  /// Whether the layer lies in one piece in a file, rather than on a device.
  fileprivate var isInFile: Bool {
    guard let medium = base?.medium as? OpenMedium else {
      // A qcow2 image: only files are.
      return true
    }
    return medium.deviceNumber == nil
  }
}

extension Layer.Base {
  /// Whether two begin at the same byte of the same medium.
  fileprivate func isSame(as other: Layer.Base) -> Bool {
    guard offset == other.offset else { return false }
    if let number = (medium as? OpenMedium)?.deviceNumber,
      number == (other.medium as? OpenMedium)?.deviceNumber
    {
      return true
    }
    return medium.path == other.medium.path
  }
}

extension ExtFileSystem: StackContent {
  /// How a representation names the ext2, ext3 and ext4 file systems.
  static let kind = "ext"

  public var kind: String { Self.kind }
  public var identity: [ProbeWindow] { Self.identity }
  public var witness: [ProbeWindow] { Self.witness }
  public var topInode: UInt64 { Self.rootInode }
}
