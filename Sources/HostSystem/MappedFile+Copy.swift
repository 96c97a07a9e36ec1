public import SystemPackage

extension MappedFile {
  /// Maps a copy of a file that has a name; the copy has none, and lies in the directory
  /// that the file is in.
  ///
  /// - Throws: `MappedFileError` when the file cannot be read or copied.
  public static func copy(of path: FilePath) throws(MappedFileError) -> MappedFile {
    try GivenFile(path).copy(in: path.removingLastComponent(), limit: nil)
  }
}
