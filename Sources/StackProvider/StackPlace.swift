/// Where a volume stack is: where to begin, and what to take on the way.
public struct StackPlace: Codable, Hashable, Sendable {
  /// Where the way up begins.
  public enum Start: Codable, Hashable, Sendable {
    /// A block device or a file, by its absolute path.
    case path(String)
    /// An LVM2 volume group, by its name.
    case volumeGroup(String)
  }

  /// Where the way up begins, as the user named it.
  public var start: Start
  /// The format of a disk image, in a file or on a block device.
  public enum ImageFormat: String, Codable, CaseIterable, Sendable {
    case raw
    case qcow2
  }
  /// What is on top of the stack.
  public enum Content: String, Codable, Sendable {
    /// ext2, ext3 or ext4.
    case ext
    /// XFS, on a snapshot.
    case xfs
  }

  /// What to take where a layer has several parts: a partition's number, a logical
  /// volume's name.
  public var selectors: [String]
  /// Where to look for physical volumes, by absolute paths, with a partition of a disk
  /// behind a colon; empty for all block devices.
  public var physicalVolumes: [String]
  /// What the image at the start is; `nil` to go by its first bytes and its name.
  public var format: ImageFormat?
  /// Which file system is on top, where signatures of several are; `nil` to go by its
  /// bytes.
  public var content: Content?
  /// Files outside its own directory that a disk image may lead to, by absolute paths;
  /// `nil` in records of before there were any.
  public var backing: [String]?
  /// Whether the user promises that the volume rests.
  public var assumesFrozen: Bool
  /// Whether it is a snapshot that floe made while the file system on it was frozen; `nil` in
  /// records of before there were any.
  public var wasQuiet: Bool?

  public init(
    start: Start, selectors: [String], physicalVolumes: [String], format: ImageFormat? = nil,
    content: Content? = nil, backing: [String] = [], assumesFrozen: Bool,
    wasQuiet: Bool = false
  ) {
    self.start = start
    self.selectors = selectors
    self.physicalVolumes = physicalVolumes
    self.format = format
    self.content = content
    self.backing = backing
    self.assumesFrozen = assumesFrozen
    self.wasQuiet = wasQuiet
  }

  /// The path where the stack begins: of a volume group the device of the logical volume,
  /// where device-mapper has one.
  var path: String {
    switch start {
    case .path(let path): path
    case .volumeGroup(let name): "/dev/\(name)/\(selectors.first ?? "")"
    }
  }
}
