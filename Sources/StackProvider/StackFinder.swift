import BlockMappers
public import DataSets
import FileTrees
import FrozenImage
public import HostSystem
public import VolumeLayers

/// Finds the layers of a volume stack, from the media up, and what the top of it holds.
public struct StackFinder {
  let place: StackPlace
  let frozen: StackFreezer.Image?
  var selectors: ArraySlice<String>
  /// What tells the parts that were taken apart from all others: a partition's or a
  /// logical volume's UUID.
  var pins: [String] = []
  var notes: [String] = []
  /// Arrays of md that were passed over in a search for physical volumes, and why.
  var unprovenArrays: [String] = []
  /// The partition tables that were met on the way up.
  var tables: [PartitionTable] = []
  /// The device that the stack begins on.
  var device: (path: String, layer: Layer)?
  /// The disk images and devices that were opened, by their paths: one that is met again
  /// is the same medium.
  var disks: [String: Layer] = [:]
  /// What the kernel told of the raids that were met.
  var raids: [KnownRaids] = []
  let sysfs: Sysfs

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
    var finder = finder(ofDevice: path)
    return try finder.start()
  }

  /// What a block device is, with what its bytes are known by, as a stack that holds a mounted
  /// file system.
  ///
  /// - Parameters:
  ///   - path: the device's path.
  ///   - stack: makes a stack of the layer that the device is.
  /// - Throws: what `stack` throws, or `StackError`.
  public static func found(
    onDevice path: String, stack: (Layer) throws -> Stack
  ) throws -> FoundStack {
    var finder = finder(ofDevice: path)
    var found = FoundStack(try stack(try finder.start()), content: nil, pins: [])
    finder.note(of: &found)
    return found
  }

  private static func finder(ofDevice path: String) -> StackFinder {
    StackFinder(
      StackPlace(
        start: .path(path), selectors: [], physicalVolumes: [], format: .raw, assumesFrozen: false))
  }

  /// Notes how what the kernel told of the layers is asked again.
  private func note(of found: inout FoundStack) {
    found.isSoHere = { [raids] in raids.allSatisfy(\.areSo) }
    found.liesOnRaid = !raids.isEmpty
  }

  private mutating func climb() throws(StackError) -> FoundStack {
    var layer = try start()
    // A stack is no deeper than the backup host resolves it.
    for _ in 0..<StoreMap.maximumDepth {
      guard let next = try step(up: layer) else {
        var found = try top(layer)
        note(of: &found)
        return found
      }
      layer = next
    }
    throw StackError(.malformed, "the stack below \(layer.title) is too deep")
  }

  /// The layer that a layer holds; `nil` when it is the top.
  private mutating func step(up layer: Layer) throws(StackError) -> Layer? {
    if selectors.isEmpty, isTop(layer) { return nil }
    for mapper in Self.mappers {
      if let next = try mapper.layer(on: layer, &self) { return next }
    }
    return nil
  }

  /// Whether a file system is known to be on the layer before anything else is looked for.
  private func isTop(_ layer: Layer) -> Bool {
    if place.content != nil { return true }
    if let frozen, let probes = TopContent.probes(of: frozen.kind),
      (try? layer.counted(probes.witness)) == frozen.witness
    {
      // A member of an array may begin as the array does.
      return Self.isNoMember(layer)
    }
    guard let device, device.layer === layer else { return false }
    return DeviceMount(ofDevice: device.path) != nil
  }
}
