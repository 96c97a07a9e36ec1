import DataSets
import FrozenImage
import Glibc
import HostSystem
import Media
import VolumeLayers

/// The files that a disk image leads to: itself, its backing file, the backing file's…
struct ImageChain {
  /// Most images of a chain. Each is a store of its own, and the chain of stores is
  /// bounded (`StoreMap.maximumDepth`).
  static let maximumLength = 12

  private struct FileID: Hashable {
    let device: UInt64
    let inode: UInt64

    /// `nil` when there is no such file.
    init?(path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
    }
  }

  private let files: Set<FileID>
  private let length: Int
  /// Where the present image is, as it was named: its own relative names begin there.
  private let path: String?
  private let allowed: AllowedFiles

  /// - Parameters:
  ///   - image: the image that the user named.
  ///   - path: its path, where it is a device; a file has its own.
  ///   - allowed: the files that it may lead to.
  init(of image: Layer, path: String?, allowed: AllowedFiles) {
    let path = path ?? image.file?.path
    self.init(
      files: Set(path.flatMap(FileID.init).map { [$0] } ?? []), length: 1, path: path,
      allowed: allowed)
  }

  private init(files: Set<FileID>, length: Int, path: String?, allowed: AllowedFiles) {
    self.files = files
    self.length = length
    self.path = path
    self.allowed = allowed
  }

  enum Format: String {
    case raw
    case qcow2
  }

  /// The content of a file that an image names.
  ///
  /// - Throws: `StackError` when the file is one of the chain or not allowed, the chain is
  ///   too long, or the file cannot be read as what it is said to be.
  func file(
    named name: String, by image: Layer, format: Format
  ) throws(StackError) -> Layer {
    let path = try path(of: name, namedBy: image)
    guard let id = FileID(path: path) else {
      throw StackError(.notFound, "\(image.title) needs the file \(path), which cannot be found")
    }
    guard !files.contains(id) else {
      throw StackError(
        .malformed, "the chain of disk images runs in a circle: \(image.title) leads to \(path)")
    }
    guard length < Self.maximumLength else {
      throw StackError(
        .malformed, "the chain of disk images at \(path) is longer than \(Self.maximumLength) files"
      )
    }
    let layer = try allowed.open(path, namedBy: image.title)
    guard format == .qcow2 else { return layer }
    guard let below = try Qcow2.find(on: layer) else {
      throw StackError(.malformed, "\(image.title) needs \(path) as a qcow2 image, which it is not")
    }
    let chain = ImageChain(
      files: files.union([id]), length: length + 1, path: path, allowed: allowed)
    return Layer(try below.map(in: chain))
  }

  /// A relative name is taken from the directory of the image that has it. Names with a
  /// protocol ("nbd:…", "json:…") are QEMU's own.
  private func path(
    of name: String, namedBy image: Layer
  ) throws(StackError) -> String {
    var name = name[...]
    if name.hasPrefix("file:") { name = name.dropFirst(5) }
    if let end = name.firstIndex(where: { $0 == ":" || $0 == "/" }), name[end] == ":" {
      throw StackError(
        .unsupported,
        "\(image.title) reaches a file through “\(name[..<end])”, which is not supported")
    }
    if name.hasPrefix("/") { return String(name) }
    guard let path else {
      throw StackError(
        .invalid,
        "\(image.title) has no path, so its file “\(name)” has no directory: name the device by a "
          + "path, in the directory that the name is meant for")
    }
    let directory = path.lastIndex(of: "/").map { path[...$0] } ?? ""
    return directory + String(name)
  }
}

extension Qcow2Header {
  /// The format that the image says its backing file has.
  ///
  /// - Throws: `StackError` when it says none: a guessed format would let a guest with a
  ///   raw disk name files of the host.
  func format(ofBacking image: Layer) throws(StackError) -> ImageChain.Format {
    guard let name = backingFormat else {
      throw StackError(
        .invalid,
        "\(image.title) does not say which format its backing file has; qemu-img rebase -u -F FORMAT -b FILE sets it"
      )
    }
    guard let format = ImageChain.Format(rawValue: name) else {
      throw StackError(
        .unsupported,
        "\(image.title) has a backing file of format “\(name)”, which is not supported")
    }
    return format
  }
}
