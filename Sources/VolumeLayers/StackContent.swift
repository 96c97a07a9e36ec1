public import DataSets
public import FrozenImage
public import LogicalRepresentation

/// What the top layer of a stack holds: a file system that is read without the kernel.
public protocol StackContent: Sendable {
  /// The kind of file system ("ext4").
  var kind: String { get }
  /// The file system's UUID.
  var id: UniqueIdentifier { get }
  /// The file system's label, often empty.
  var label: String { get }
  /// What `statvfs` would tell if the kernel had it mounted.
  var statistics: FileSystemStatistics { get }
  /// Bytes of the top layer that never change while it is the right one.
  var identity: [ProbeWindow] { get }
  /// Bytes of the top layer that change before anything else of the file system does.
  var witness: [ProbeWindow] { get }
  /// The inode number of the top directory.
  var topInode: UInt64 { get }

  /// Writes every node in ascending order of inode number, all of them below
  /// `RawVolume.firstInode`.
  ///
  /// - Throws: `StackError` of what cannot be read, `RepresentationWriterError` or `ScratchError`.
  func describe(
    into writer: inout RepresentationWriter, progress: (FreezeProgress) -> Void
  ) throws

  /// Reads a file's bytes.
  ///
  /// - Returns: the count of bytes read: fewer than the buffer's only at the file's end.
  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) -> Int
}

/// A stack and what it holds, as they were found.
public struct FoundStack: Sendable {
  /// The layers, from what holds the data down to the media.
  public let stack: Stack
  /// `nil` for bytes that nothing here reads as a file system.
  public let content: (any StackContent)?
  /// What tells the partitions and logical volumes on the way up apart from others that
  /// may have their numbers and names one day.
  public let pins: [String]
  /// What the user should know although nothing is wrong: one sentence each.
  public let notes: [String]
  /// Whether what this host's kernel told of the layers, and no medium shows, is still so.
  package var isSoHere: @Sendable () -> Bool = { true }
  /// Whether it lies on a raid, of which the kernel of the host that has it active may know
  /// more than any medium shows: one configuration ID does not stand for one map then.
  package var liesOnRaid = false

  public init(
    _ stack: Stack, content: (any StackContent)?, pins: [String], notes: [String] = []
  ) {
    self.stack = stack
    self.content = content
    self.pins = pins
    self.notes = notes
  }
}
