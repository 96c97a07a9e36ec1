import FrozenImage

/// Walks a file system's tree and writes what directories lead to.
///
/// The representation wants nodes in the order of their inode numbers, and inodes that
/// no directory names are not to be shown (the file system's own files, and what was
/// deleted when it was unmounted). So directories are read twice: first to mark what
/// they lead to, then when their turn comes.
struct ExtTree {
  /// `EXT4_ROOT_INO`.
  static let root: UInt32 = 2

  private let volume: ExtVolume
  private var reached = InodeSet()
  /// The blocks of the directories that were met. One that two directories share, or
  /// one has twice, would let a small file system have entries without end.
  private var directoryBlocks: Set<UInt64> = []
  private var progress = FreezeProgress()

  init(_ volume: ExtVolume) {
    self.volume = volume
  }

  /// Writes all nodes.
  mutating func write(
    into writer: inout RepresentationWriter, _ report: (FreezeProgress) -> Void
  ) throws {
    try mark()
    var allowance = ExtBlockAllowance(volume)
    for piece in reached.pieceNumbers {
      for number in reached.members(ofPiece: piece) {
        try located(number) { try write(volume.inode(number), into: &writer, &allowance) }
        if progress.files.isMultiple(of: 1024) { report(progress) }
      }
    }
    report(progress)
  }

  /// Marks every inode that directories lead to, level by level.
  private mutating func mark() throws {
    var allowance = ExtBlockAllowance(volume)
    _ = reached.insert(Self.root)
    var level = [Self.root]
    while !level.isEmpty {
      var next: [UInt32] = []
      for number in level {
        try located(number) { try mark(number, &next, &allowance) }
      }
      // Ascending, as inode tables and directories mostly lie.
      level = next.sorted()
    }
    directoryBlocks = []
  }

  /// Marks what one directory leads to, and collects the directories among it.
  private mutating func mark(
    _ number: UInt32, _ next: inout [UInt32], _ allowance: inout ExtBlockAllowance
  ) throws {
    let directory = try volume.inode(number)
    guard directory.attributes.type == .directory, !directory.isFree else {
      throw StackError("inode \(number) of \(volume.title) is not a directory: run e2fsck")
    }
    try requirePlain(directory)
    try volume.forEachEntry(of: directory, &allowance) { block in
      guard directoryBlocks.insert(block).inserted else {
        throw StackError("block \(block) of \(volume.title) belongs to two directories: run e2fsck")
      }
    } _: { entry in
      try requireMember(entry, of: number)
      guard reached.insert(entry.inode) else { return }
      if try type(of: entry) == .directory { next.append(entry.inode) }
    }
  }

  /// Adds to what went wrong with an inode how the file is called.
  private func located(_ inode: UInt32, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as StackError {
      guard let path = try? volume.path(of: inode) else { throw error }
      throw StackError("\(error) (\(path))")
    }
  }

  private func requireMember(_ entry: ExtEntry, of directory: UInt32) throws {
    guard entry.inode >= volume.superblock.firstInode || entry.inode == Self.root,
      entry.inode <= volume.superblock.inodes
    else {
      throw StackError(
        "entry \(entry.text) of directory inode \(directory) of \(volume.title) leads to "
          + "inode \(entry.inode), which is none of a file: run e2fsck")
    }
  }

  private func type(of entry: ExtEntry) throws -> FileType? {
    if let type = entry.type { return type }
    return FileType(mode: try volume.inode(entry.inode).attributes.mode)
  }

  /// Refuses what only somebody with the key can read.
  private func requirePlain(_ inode: ExtInode) throws {
    guard inode.flags & ExtInode.Flag.encrypted != 0 else { return }
    throw StackError(
      "inode \(inode.number) of \(volume.title) is encrypted (fscrypt): its names and content "
        + "cannot be read")
  }
}

// MARK: Writing

extension ExtTree {
  private mutating func write(
    _ inode: ExtInode, into writer: inout RepresentationWriter,
    _ allowance: inout ExtBlockAllowance
  ) throws {
    let attributes = inode.attributes
    guard !inode.isFree else {
      throw StackError(
        "a directory of \(volume.title) leads to the deleted inode \(inode.number): run e2fsck")
    }
    try requirePlain(inode)
    try writer.beginNode(attributes)
    for attribute in try volume.attributes(of: inode) {
      guard let (name, value) = try attribute.visible(of: inode.number, in: volume.title) else {
        continue
      }
      try name.withUnsafeBytes { name in
        try value.withUnsafeBytes { try writer.addExtendedAttribute(name: name, value: $0) }
      }
    }
    switch attributes.type {
    case .directory: try writeEntries(of: inode, into: &writer, &allowance)
    case .regular:
      try writeContent(of: inode, into: &writer, &allowance)
      progress.bytes &+= attributes.size
    case .symbolicLink: try writeTarget(of: inode, into: &writer)
    case .fifo, .socket, .characterDevice, .blockDevice: break
    }
    try writer.endNode()
    progress.files += 1
  }

  private func writeEntries(
    of inode: ExtInode, into writer: inout RepresentationWriter,
    _ allowance: inout ExtBlockAllowance
  ) throws {
    try volume.forEachEntry(of: inode, &allowance) { entry in
      guard let type = try type(of: entry) else {
        throw StackError(
          "entry \(entry.text) of directory inode \(inode.number) of \(volume.title) leads "
            + "to a node of no known type")
      }
      try writer.addEntry(name: entry.name, inode: UInt64(entry.inode), type: type)
    }
  }

  private func writeContent(
    of inode: ExtInode, into writer: inout RepresentationWriter,
    _ allowance: inout ExtBlockAllowance
  ) throws {
    if inode.flags & ExtInode.Flag.inlineData != 0 {
      let content = try volume.inlineContent(of: inode)
      guard !content.isEmpty else { return }
      try content.withUnsafeBytes {
        try writer.addInline(offset: 0, length: UInt64($0.count), bytes: $0)
      }
      return
    }
    let blockSize = UInt64(volume.blockSize)
    try volume.forEachRun(of: inode, &allowance) { run in
      let offset = run.start * blockSize
      let length = run.count * blockSize
      if run.isUnwritten {
        let extent = FileExtent(offset: offset, length: length, source: .unwritten)
        try writer.addExtent(extent, checksums: nil)
        return
      }
      let address = run.block * blockSize
      let extents = volume.layer.fileExtents(
        at: offset, of: address..<address + length, store: Stack.topStore)
      for extent in extents { try writer.addExtent(extent, checksums: nil) }
    }
  }

  private func writeTarget(of inode: ExtInode, into writer: inout RepresentationWriter) throws {
    try volume.symbolicLinkTarget(of: inode).withUnsafeBytes {
      try writer.setSymbolicLinkTarget($0)
    }
  }
}

/// A set of inode numbers, one bit each; a piece of 1024 numbers without a member has none,
/// so that a file system which claims to be huge takes memory only for what is in it.
struct InodeSet {
  private typealias Piece = SIMD16<UInt64>
  /// Numbers in a piece.
  private static let pieceLength: UInt32 = 1024

  private var pieces: [UInt32: Piece] = [:]

  /// The pieces that have members, ascending.
  var pieceNumbers: [UInt32] { pieces.keys.sorted() }

  /// - Returns: `false` when the number was a member before.
  mutating func insert(_ number: UInt32) -> Bool {
    let (piece, index) = number.quotientAndRemainder(dividingBy: Self.pieceLength)
    let (word, bit) = (Int(index / 64), UInt64(1) << UInt64(index % 64))
    return withUnsafeMutablePointer(to: &pieces[piece, default: .zero]) { piece in
      guard piece.pointee[word] & bit == 0 else { return false }
      piece.pointee[word] |= bit
      return true
    }
  }

  /// The members in a piece, ascending.
  func members(ofPiece piece: UInt32) -> [UInt32] {
    guard let words = pieces[piece] else { return [] }
    var members: [UInt32] = []
    for index in words.indices {
      var rest = words[index]
      while rest != 0 {
        members.append(
          piece * Self.pieceLength + UInt32(index * 64 + rest.trailingZeroBitCount))
        rest &= rest - 1
      }
    }
    return members
  }
}
