public import SystemPackage

/// Small files that are read and written as a whole.
public enum CompleteFile {
  /// All bytes of a file, also of one of /proc, whose length nobody knows beforehand.
  ///
  /// - Throws: the error of open(2) or read(2).
  public static func read(_ path: String) throws(Errno) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      defer { try? file.close() }
      var all: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: 65536)
      while true {
        let count = try piece.withUnsafeMutableBytes { try file.read(into: $0) }
        guard count > 0 else { return all }
        all += piece[..<count]
      }
    } catch {
      throw error as? Errno ?? .ioError
    }
  }

  /// Makes a file that appears under its name complete and durable, or not at all.
  ///
  /// - Parameters:
  ///   - mode: the file's permissions, less the umask.
  ///   - replaces: whether it takes the place of what has the name (of a link itself, not of
  ///     what that leads to).
  /// - Throws: `FileFailure`; with `.fileExists` as its reason when the name is in use and is
  ///   not to be replaced.
  public static func write(
    _ bytes: [UInt8], to path: FilePath, mode: UInt32, replacing replaces: Bool
  ) throws(FileFailure) {
    let file = try NamelessFile(in: NamelessFile.directory(of: path), mode: mode)
    // A typed throw does not pass through withUnsafeBytes of every toolchain.
    var failure: FileFailure?
    bytes.withUnsafeBytes { bytes in
      do throws(FileFailure) { try file.write(bytes, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    try file.publish(at: path, replacing: replaces)
  }
}
