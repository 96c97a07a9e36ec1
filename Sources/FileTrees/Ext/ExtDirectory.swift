import DataSets
import FrozenImage

/// An entry of a directory (`struct ext4_dir_entry_2`).
struct ExtEntry {
  let name: UnsafeRawBufferPointer
  let inode: UInt32
  /// What the entry itself says; `nil` when it says nothing.
  let type: FileType?

  /// The name for messages.
  var text: String { String(decoding: name, as: UTF8.self) }

  /// `.` or `..`.
  fileprivate var isSelfOrParent: Bool {
    name.elementsEqual([UInt8(ascii: ".")])
      || name.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")])
  }

  /// `EXT4_FT_…`.
  fileprivate static func type(_ code: UInt8) -> FileType? {
    switch code {
    case 1: .regular
    case 2: .directory
    case 3: .characterDevice
    case 4: .blockDevice
    case 5: .fifo
    case 6: .socket
    case 7: .symbolicLink
    default: nil
    }
  }
}

extension ExtVolume {
  /// Calls `body` with each entry of a directory but `.` and `..`.
  ///
  /// The index of a directory (htree) is passed over: its nodes look like an empty
  /// entry each. Like the kernel (`ext4_readdir`, fs/ext4/dir.c), it goes on with the next
  /// block where one is damaged.
  ///
  /// - Parameters:
  ///   - accepts: whether a block, by its number, is to be read.
  ///   - problem: called with why entries are missing.
  ///   - body: throws no `StackError`.
  func forEachEntry(
    of directory: ExtInode, _ allowance: inout ExtBlockAllowance, accepts: (UInt64) -> Bool,
    problem: (StackError) throws -> Void, _ body: (ExtEntry) throws -> Void
  ) throws {
    func noting(_ damaged: () throws -> Void) throws {
      do { try damaged() } catch let error as StackError { try problem(error) }
    }
    if directory.flags & ExtInode.Flag.inlineData != 0 {
      // The inode of `..`, then entries; more of them as an extended attribute
      // (`ext4_inlinedir_to_tree`, fs/ext4/inline.c).
      try noting {
        let inline = try inlineBytes(of: directory)
        try noting {
          try inline.inInode.withUnsafeBytes {
            try entries(in: UnsafeRawBufferPointer(rebasing: $0.dropFirst(4)), of: directory, body)
          }
        }
        try inline.inAttribute.withUnsafeBytes { try entries(in: $0, of: directory, body) }
      }
      return
    }
    try noting {
      try forEachRun(of: directory, &allowance) { run in
        guard !run.isUnwritten else {
          try problem(
            StackError(
              .malformed, "directory inode \(directory.number) of \(title) has unwritten blocks"))
          return
        }
        for block in run.block..<run.block + run.count {
          guard accepts(block) else {
            try problem(
              StackError(
                .malformed, "block \(block) of \(title) belongs to two directories: run e2fsck"))
            continue
          }
          try noting {
            try directoryBlock(block, of: directory.number).withUnsafeBytes {
              try entries(in: $0, of: directory, body)
            }
          }
        }
      }
    }
  }

  private func entries(
    in block: UnsafeRawBufferPointer, of directory: ExtInode, _ body: (ExtEntry) throws -> Void
  ) throws {
    var position = 0
    while position < block.count {
      guard let inode: UInt32 = block.number(at: position),
        let length: UInt16 = block.number(at: position + 4),
        let nameLength: UInt8 = block.number(at: position + 6),
        let code: UInt8 = block.number(at: position + 7)
      else { throw torn(directory) }
      let size = entryLength(length, isWhole: block.count == blockSize)
      guard size >= 8, size % 4 == 0, size <= block.count - position else { throw torn(directory) }
      if inode != 0 {
        // Without file types, the byte is the upper half of the name's length.
        guard Int(nameLength) <= size - 8, superblock.features.hasFileTypes || code == 0,
          let name = block.run(at: position + 8, count: Int(nameLength))
        else { throw torn(directory) }
        let type = superblock.features.hasFileTypes ? ExtEntry.type(code) : nil
        let entry = ExtEntry(name: name, inode: inode, type: type)
        if !entry.isSelfOrParent { try body(entry) }
      }
      position += size
    }
  }

  /// `ext4_rec_len_from_disk`: a block of 64 KiB is too long for 16 bits.
  private func entryLength(_ length: UInt16, isWhole: Bool) -> Int {
    guard isWhole, blockSize >= 65536 else { return Int(length) }
    if length == 0 || length == .max { return blockSize }
    return Int(length & 0xFFFC) | Int(length & 3) << 16
  }

  private func torn(_ directory: ExtInode) -> StackError {
    StackError(
      .malformed, "an entry of directory inode \(directory.number) of \(title) is torn: run e2fsck")
  }
}
