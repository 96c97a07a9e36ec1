import FrozenImage
import HostSystem
public import LogicalRepresentation
public import SystemPackage

/// Scratch space of a representation in files beside the place where it is to be.
///
/// None of the files has a name before the representation is complete (except for an
/// instant on file systems without O_TMPFILE), so nothing is left behind by an error
/// or a crash. At the most it takes twice the room of the representation.
public final class FileScratch: RepresentationScratch {
  private let output: FilePath
  private var sections: [ScratchFile]
  private let result: NamelessFile
  private let replaces: Bool
  private let look: (Representation) throws(ScratchError) -> Void

  /// - Parameters:
  ///   - output: where the representation is to appear.
  ///   - replaces: whether a file there is replaced when the representation is complete;
  ///     otherwise `commit` throws.
  ///   - look: is called with the complete representation before it has its name; an error
  ///     leaves everything as it was.
  /// - Throws: `ScratchError` when files cannot be made in that directory.
  public init(
    writing output: FilePath, replacing replaces: Bool = true,
    lookingAtIt look: @escaping (Representation) throws(ScratchError) -> Void = { _ in }
  ) throws(ScratchError) {
    self.look = look
    self.output = output
    self.replaces = replaces
    let directory = NamelessFile.directory(of: output)
    let files = try scratching { () throws(FileFailure) in
      var files = [try NamelessFile(in: directory)]
      for _ in ScratchSection.allCases { files.append(try NamelessFile(in: directory)) }
      return files
    }
    result = files[0]
    sections = files.dropFirst().map(ScratchFile.init)
  }

  public func append(
    _ bytes: UnsafeRawBufferPointer, to section: ScratchSection
  ) throws(ScratchError) {
    try sections[section.rawValue].append(bytes)
  }

  public func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    try sections[section.rawValue].read(at: offset, into: buffer)
  }

  public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError) {
    try scratching { () throws(FileFailure) in try result.write(bytes, at: offset) }
  }

  /// Gives the representation its name once all of it is on stable storage.
  public func commit() throws(ScratchError) {
    sections.removeAll()
    try look(scratching { () throws(FileFailure) in try result.representation() })
    result.mark()
    try scratching { () throws(FileFailure) in
      try result.publish(at: output, replacing: replaces)
    }
  }
}

extension NamelessFile {
  /// What is in the file, as a representation; nobody may write it from now on.
  fileprivate func representation() throws(FileFailure) -> Representation {
    let file = try mapped()
    do { return try Representation(file) } catch { throw unreadable(error) }
  }
}

/// Says what failed as the writer of a representation knows it.
private func scratching<Result>(
  _ body: () throws(FileFailure) -> Result
) throws(ScratchError) -> Result {
  do throws(FileFailure) { return try body() } catch { throw ScratchError(error) }
}

/// A file that grows by appending, through a buffer.
private final class ScratchFile {
  private let file: NamelessFile
  /// Bytes in the file; those in the buffer follow.
  private var flushed: UInt64 = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
  /// Bytes in the buffer.
  private var used = 0

  init(_ file: NamelessFile) {
    self.file = file
  }

  deinit { buffer.deallocate() }

  func append(_ bytes: UnsafeRawBufferPointer) throws(ScratchError) {
    if bytes.count > buffer.count - used { try flush() }
    if bytes.count > buffer.count {
      try scratching { () throws(FileFailure) in try file.write(bytes, at: flushed) }
      flushed += UInt64(bytes.count)
    } else {
      UnsafeMutableRawBufferPointer(rebasing: buffer[used...]).copyMemory(from: bytes)
      used += bytes.count
    }
  }

  private func flush() throws(ScratchError) {
    try scratching { () throws(FileFailure) in
      try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<used]), at: flushed)
    }
    flushed += UInt64(used)
    used = 0
  }

  func read(
    at offset: UInt64, into target: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    try flush()
    try scratching { () throws(FileFailure) in try file.read(at: offset, into: target) }
  }
}
