public import DataSets
public import FrozenImage
import Glibc
public import LogicalRepresentation
import VolumeLayers

/// Describes what lies at rest in a volume stack: a file system that is not mounted, or
/// a raw volume that nobody writes.
public struct StackFreezer: Sendable {
  /// What is needed to find out later whether the image is still what was frozen.
  public struct Image: Codable, Hashable, Sendable {
    /// Where the stack is found again.
    public let place: StackPlace
    /// The partitions and logical volumes on the way up (`FoundStack.pins`).
    public let pins: [String]
    /// The kind of file system; `nil` for a raw volume.
    public let kind: String?
    /// The file system's witness when it was frozen.
    public let witness: [UInt8]
  }

  /// Where the stack was looked for.
  public let place: StackPlace
  private let found: FoundStack
  private let state: ConfigurationID

  /// Devices whose caches this user could not have written out.
  private let unflushed: [String]

  /// Finds the stack at a place, as it is with all that the kernel still had in the caches
  /// of its devices.
  ///
  /// - Throws: `StackError`.
  public init(_ place: StackPlace) throws {
    self.place = place
    if let refusal = try ForeignFileSystem.refusal(ofFile: place.path) { throw refusal }
    // What is looked for may be in a cache alone.
    try StackViews(of: place.path).flush()
    unflushed = try StackViews(of: StackFinder(place).find()).flush().map(\.path)
    let watch = StackWatch { try StackFinder(place).find() }
    guard let look = try watch.look() else { throw StackError(.inUse, "the volume keeps changing") }
    found = look.found
    state = look.configurationID
  }

  /// The file system's identifier; `nil` of a raw volume.
  public var contentID: UniqueIdentifier? { found.content?.id }

  /// What the user should know although nothing is wrong: one sentence each.
  public var notes: [String] {
    let notes =
      found.notes
      + unflushed.map {
        "\($0) shows the same bytes and may not be opened by this user, so what was written to it "
          + "lately may be missing from the image: freeze as root"
      }
    guard found.stack.validation == .question else { return notes }
    return notes + [
      "a part of the witness of \(found.stack.top.title) is not kept plainly on a medium, so every "
        + "read has to be validated by the service"
    ]
  }

  /// Whether no witness shows every change, so that each read is validated by a question.
  public var needsService: Bool { found.stack.validation == .question }

  /// The chain from the top down, a line for each layer.
  public var explanation: [String] { found.explanation }

  /// Proves that nobody writes the volume now, as far as the kernel tells, and writes out
  /// what was written to it before.
  ///
  /// Processes of other users are seen only by root, and those of other hosts by nobody.
  ///
  /// - Throws: `StackError` that names who has it open for writing, or when it was changed
  ///   since it was found.
  public func requireRest() throws {
    let views = StackViews(of: found)
    try views.requireNoWriter(promised: place.assumesFrozen)
    try views.flush()
    guard try isUnchanged() else {
      throw StackError(.inUse, "\(found.stack.top.title) was changed while it was frozen")
    }
  }

  private func isUnchanged() throws(StackError) -> Bool {
    // That throws when more changed than what does so all the time.
    if found.isLive {
      _ = try found.successor()
      return true
    }
    return try found.stack.configurationID() == state
  }

  /// What the representation is made of, for the catalogue.
  ///
  /// - Throws: `StackError` when the witness cannot be read.
  public func image() throws -> Image {
    Image(
      place: place, pins: found.pins, kind: found.content?.kind,
      witness: try found.contentWitness())
  }

  /// Writes the representation.
  ///
  /// - Parameters:
  ///   - image: what it is; its statistics are filled in here.
  ///   - progress: called now and then.
  /// - Returns: the media that the image lies on.
  /// - Throws: `StackError` also when the volume was changed meanwhile.
  @discardableResult
  public func describe(
    _ image: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    let stack = found.stack
    let media = try stack.media()
    let volume = VolumeDescription(
      id: found.content?.id ?? UniqueIdentifier(naming: media.flatMap(\.identityBytes)),
      label: found.content?.label ?? stack.top.title,
      state: MappingState(configurationID: state, cursor: stack.cursor), map: try stack.storeMap(),
      media: media, validation: stack.validation, checksum: nil, checksumBlockSize: 0,
      trail: StackTrail(of: found, witness: try found.contentWitness())?.encoded)
    var writer = try RepresentationWriter(
      image: image.description(
        provider: found.content?.kind ?? "volume",
        statistics: found.content?.statistics ?? Self.statistics(of: stack.top)),
      volumes: [volume], scratch: scratch)
    var roots: [WrittenRoot] = []
    if let content = found.content {
      try content.describe(into: &writer, progress: progress)
      roots.append(
        WrittenRoot(name: image.name, view: .tree, top: content.topInode, first: 0))
    }
    try RawVolume(
      layer: stack.top, created: image.created, owner: geteuid(), group: getegid()
    ).describe(into: &writer)
    roots.append(RawVolume.root)
    guard try isUnchanged() else {
      throw StackError(.inUse, "\(stack.top.title) was changed while it was described")
    }
    try writer.finish(roots)
    return media
  }

  private static func statistics(of layer: Layer) -> FileSystemStatistics {
    FileSystemStatistics(
      blockSize: 512, blocks: layer.size / 512, freeBlocks: 0, availableBlocks: 0, files: 2,
      freeFiles: 0, maximumNameLength: 255)
  }
}
