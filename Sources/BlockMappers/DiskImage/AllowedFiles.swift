public import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageReader
package import Media
public import VolumeLayers

/// The files that a disk image may lead to: its backing file, its data file, theirs.
///
/// Whoever may write an image chooses the paths in it: a tenant that of another tenant's
/// disk, a guest that has a raw disk that of any file of the host. So an image is followed
/// no further than into the directory of the image that the user named, and to what the
/// user named besides.
public struct AllowedFiles: Sendable {
  /// The directory of the image that the user named, without links; `nil` when that is
  /// no file.
  private let directory: String?
  /// Without links: files, devices, and directories, which stand for all below them.
  private let named: [String]
  private let device: (@Sendable (String) throws(StackError) -> Layer)?

  /// - Parameters:
  ///   - image: the image that the user named.
  ///   - named: further paths that the user named.
  ///   - device: what a block device is, by its path without links, down to its media;
  ///     without it a device is a medium itself.
  public init(
    of image: Layer, named: [String] = [],
    device: (@Sendable (String) throws(StackError) -> Layer)? = nil
  ) {
    // "/vm/a.qcow2" gives "/vm/", a file at the root "/".
    directory = image.file?.presentPath.flatMap { path in
      path.lastIndex(of: "/").map { String(path[...$0]) }
    }
    self.named = named.map { Self.real($0) ?? $0 }
    self.device = device
  }

  /// - Parameter path: absolute, without links.
  private func contains(_ path: String) -> Bool {
    // What lies at the root of all files is no reason to take any of them.
    if let directory, directory != "/", (path + "/").hasPrefix(directory) { return true }
    return named.contains { path == $0 || $0 != "/" && path.hasPrefix($0 + "/") }
  }

  /// Opens a file that an image names.
  ///
  /// - Parameters:
  ///   - path: absolute.
  ///   - title: of the image that names it.
  /// - Throws: `StackError` when it is not there, not allowed or cannot be read.
  func open(_ path: String, namedBy title: String) throws(StackError) -> Layer {
    guard let real = Self.real(path) else {
      throw StackError(.notFound, "\(title) needs the file \(path), which cannot be found")
    }
    let isDevice = try StackDevice.find(real) != nil
    guard contains(real) else {
      let place = directory.map { "is not in the directory \($0.dropLast())" } ?? "was not named"
      // What the name of a device leads to has another name after the next start of the host.
      let shown = isDevice && path.hasPrefix("/dev/") && !path.contains("/..") ? path : real
      throw StackError(
        .notPermitted,
        "\(title) needs the file \(shown), which \(place): whoever wrote the image may have named "
          + "any file of this host, so say --backing \(shown) if it is the right one")
    }
    if isDevice, let device { return try device(real) }
    let medium = try Self.medium(real)
    // A link may have been put in the place of a directory since.
    guard medium.presentPath == real else {
      throw StackError(.inUse, "\(real), which \(title) needs, was replaced while it was opened")
    }
    return Layer(medium)
  }

  private static func medium(_ path: String) throws(StackError) -> OpenMedium {
    do throws(MediumError) {
      return try OpenMedium(path: path)
    } catch {
      throw StackError(error)
    }
  }

  /// The path without links; `nil` when there is no such file.
  private static func real(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(validatingCString: real)
  }
}

extension Layer {
  /// The file that the layer is; `nil` for what is a device or a map.
  package var file: OpenMedium? {
    guard case .medium(let medium) = substance, let file = medium as? OpenMedium,
      file.deviceNumber == nil
    else { return nil }
    return file
  }
}
