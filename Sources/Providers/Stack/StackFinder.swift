import FrozenImage
public import LinuxIO

/// Finds the layers of a volume stack, from the media up, and what the top of it holds.
public struct StackFinder {
  let place: StackPlace
  let frozen: StackFreezer.Image?
  var selectors: ArraySlice<String>
  /// What tells the parts that were taken apart from all others: a partition's or a
  /// logical volume's UUID.
  var pins: [String] = []
  var notes: [String] = []
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
    var finder = StackFinder(
      StackPlace(start: .path(path), selectors: [], physicalVolumes: [], assumesFrozen: false))
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

  /// The layer that a layer holds; `nil` when it is the top.
  private mutating func step(up layer: Layer) throws(StackError) -> Layer? {
    if let volume = try PhysicalVolume.find(on: layer) {
      return try logicalVolume(of: nil, on: [volume])
    }
    // A file system may begin with what looks like a boot record.
    if selectors.isEmpty, try ContentProbe.find(on: layer) != nil { return nil }
    guard let table = try PartitionTable.find(on: layer) else { return nil }
    return try partition(selectors.popFirst(), of: table, on: layer)
  }

  mutating func partition(
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
}
