import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import SystemPackage

/// A regular file that is to be restored.
struct FileJob: Sendable {
  let node: NodeIndex
  let attributes: NodeAttributes
  let directory: DestinationDirectory
  let name: EntryName
  /// The name until the file is whole.
  let temporaryName: EntryName
  /// Below the destination (`PathText`).
  let path: String
}

/// Restores regular files, one after the other; each thread has its own.
struct FileWriting: ~Copyable {
  /// Bytes that are read at once.
  private static let pieceLength = 4 << 20

  private let representation: Representation
  private let contents: any FileReading
  private let options: RestoreOptions
  private let progress: RestoreProgress
  private let buffer: UnsafeMutableRawBufferPointer

  init(
    _ representation: Representation, _ contents: any FileReading, _ options: RestoreOptions,
    _ progress: RestoreProgress
  ) {
    self.representation = representation
    self.contents = contents
    self.options = options
    self.progress = progress
    buffer = .allocate(byteCount: Self.pieceLength, alignment: 4096)
  }

  deinit { buffer.deallocate() }

  /// Restores a file, or leaves one as it is that is there already; never leaves a part of one
  /// under its name.
  func restore(_ job: FileJob) {
    do {
      let entry = EntryAttributes(of: job.node, job.attributes, in: representation)
      if try isWhole(job, entry) {
        progress.count { $0.skipped += 1 }
      } else {
        try ExistingEntry.check(try job.directory.status(of: job.name), options)
        try write(job, entry)
        progress.count { $0.files += 1 }
      }
      if let problem = entry.problem { progress.fail(job.path, problem) }
    } catch {
      if job.attributes.links > 1 { progress.noteMissing(job.node) }
      progress.fail(job.path, error)
    }
  }

  private func write(_ job: FileJob, _ entry: EntryAttributes) throws {
    let file = try job.directory.makeFile(job.temporaryName)
    do {
      do {
        try fill(file, job)
        let handle = try job.directory.handle(of: job.temporaryName)
        guard handle.leads(to: file) else {
          throw Failure(.failed, "something else was put in its place while it was written")
        }
        progress.note(entry.apply(to: handle), of: job.path)
      } catch {
        close(file)
        throw error
      }
      // A network file system tells only now what could not be written.
      guard close(file) == 0 else {
        throw Failure("it cannot be written", cause: Errno(rawValue: errno))
      }
      try job.directory.rename(
        job.temporaryName, to: job.name, replacing: options.overwrites)
    } catch {
      try? job.directory.remove(job.temporaryName)
      throw error
    }
  }

  /// Writes the file's data; what is a hole in the image stays one.
  private func fill(_ file: Int32, _ job: FileJob) throws {
    guard ftruncate(file, off_t(clamping: job.attributes.size)) == 0 else {
      throw Failure("its size cannot be set", cause: Errno(rawValue: errno))
    }
    try forEachPiece(of: job) { piece, offset in
      var written = 0
      while written < piece.count {
        let rest = UnsafeRawBufferPointer(rebasing: piece[written...])
        let count = pwrite(file, rest.baseAddress, rest.count, off_t(offset) + off_t(written))
        guard count > 0 else {
          let error = Errno(rawValue: errno)
          if count < 0, error == .interrupted { continue }
          throw Failure("it cannot be written", cause: error)
        }
        written += count
      }
      progress.count { $0.bytes += UInt64(piece.count) }
      return true
    }
  }

  /// Reads the data of a file of the image piece by piece, until the body returns `false`.
  private func forEachPiece(
    of job: FileJob, _ body: (UnsafeRawBufferPointer, UInt64) throws -> Bool
  ) throws {
    let size = job.attributes.size
    var position: UInt64 = 0
    while let start = try representation.nextData(of: job.node, from: position) {
      let end = min(try representation.nextHole(of: job.node, from: start) ?? size, size)
      position = start
      while position < end {
        if let reason = progress.end { throw reason }
        let count = Int(min(UInt64(buffer.count), end - position))
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let got = try contents.read(job.node, at: position, into: piece)
        guard got > 0, got <= count else {
          throw Failure(.medium, "it ended at byte \(position) of \(size)")
        }
        guard try body(UnsafeRawBufferPointer(rebasing: piece[..<got]), position) else { return }
        position += UInt64(got)
      }
    }
  }

  // MARK: - What is there already

  /// Whether the file of the image is there, so that it need not be written.
  ///
  /// A file gets its name once all of it is written and it has its attributes, so one that has
  /// them is whole. Its data may have been lost since when this host was started anew.
  private func isWhole(_ job: FileJob, _ entry: EntryAttributes) throws -> Bool {
    guard options.resumes, try job.directory.status(of: job.name) != nil else { return false }
    let found = try job.directory.handle(of: job.name)
    guard found.status.st_mode & S_IFMT == S_IFREG,
      found.status.st_size == off_t(clamping: job.attributes.size), entry.areThose(of: found)
    else { return false }
    let isOlder = found.status.st_ctim.tv_sec <= Self.startOfHost
    return try !(options.comparesContent || isOlder) || hasContent(found, job)
  }

  /// When this host was started, in seconds since 1970.
  private static let startOfHost: Int = {
    var now = timespec()
    var running = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    clock_gettime(CLOCK_BOOTTIME, &running)
    return now.tv_sec - running.tv_sec
  }()

  private func hasContent(_ found: EntryHandle, _ job: FileJob) throws -> Bool {
    let file = try found.open()
    defer { close(file) }
    var isSame = true
    var expected: UInt64 = 0
    try forEachPiece(of: job) { piece, offset in
      isSame = try Self.isZero(file, expected..<offset)
      guard isSame else { return false }
      expected = offset + UInt64(piece.count)
      let found = try Self.bytes(of: file, at: offset, count: piece.count)
      isSame = found.elementsEqual(piece)
      return isSame
    }
    return try isSame && Self.isZero(file, expected..<max(expected, job.attributes.size))
  }

  /// SEEK_DATA of lseek(2), which glibc defines for _GNU_SOURCE only.
  private static let seekData: Int32 = 3

  /// Whether a range of a file holds nothing but zeros; holes are not read.
  private static func isZero(_ file: Int32, _ range: Range<UInt64>) throws -> Bool {
    var position = off_t(range.lowerBound)
    while position < off_t(range.upperBound) {
      let data = lseek(file, position, seekData)
      guard data >= 0 else {
        if errno == ENXIO { return true }
        throw Errno(rawValue: errno)
      }
      guard data < off_t(range.upperBound) else { return true }
      let count = Int(min(off_t(range.upperBound) - data, 1 << 20))
      let found = try bytes(of: file, at: UInt64(data), count: count)
      guard found.count == count, found.allSatisfy({ $0 == 0 }) else { return false }
      position = data + off_t(count)
    }
    return true
  }

  /// Fewer bytes than asked for at the end of the file.
  private static func bytes(of file: Int32, at offset: UInt64, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes {
        pread(file, $0.baseAddress.map { $0 + done }, count - done, off_t(offset) + off_t(done))
      }
      guard got >= 0 || errno == EINTR else { throw Errno(rawValue: errno) }
      if got == 0 { break }
      done += max(got, 0)
    }
    return Array(bytes.prefix(done))
  }
}

/// What is in the way of an entry.
enum ExistingEntry {
  /// - Parameter found: what has the name already; `nil` for nothing.
  /// - Throws: `Failure` unless it may be replaced.
  static func check(_ found: stat?, _ options: RestoreOptions) throws(Failure) {
    guard let found else { return }
    guard found.st_mode & S_IFMT != S_IFDIR else {
      throw Failure(.exists, "a directory is there, which is left alone")
    }
    guard options.overwrites else {
      throw Failure(
        .exists,
        options.resumes
          ? "another file is there, which is left alone (--overwrite replaces it)"
          : "a file is there, which is left alone (--overwrite replaces it)")
    }
  }
}
