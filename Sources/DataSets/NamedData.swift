import FrozenImage
import Glibc
package import HostSystem
import SystemPackage

/// What a user named to be frozen: a path, often with parts of what is there behind colons
/// ("disk.img:2"), or something that is no path ("vg/root").
package struct NamedData: Hashable, Sendable {
  /// What the path leads to.
  package enum Kind: Hashable, Sendable {
    case directory
    case file
    case blockDevice
    /// A socket, a FIFO, a character device.
    case other
    /// It is no path.
    case nothing
  }

  /// As it was typed.
  package let text: String
  /// Of what the path leads to, links followed.
  package let kind: Kind
  /// The path, as it was typed; empty when it is none.
  package let path: String
  /// The parts behind colons.
  package let selectors: [String]

  /// - Throws: `Failure` when the path leads to nothing, or cannot be looked at.
  package init(_ text: String) throws(Failure) {
    self.text = text
    guard let (path, selectors) = Self.split(text) else {
      var status = stat()
      guard lstat(text, &status) != 0 else {
        throw Failure(.invalid, "\(text) is a symbolic link that leads to nothing")
      }
      self.path = ""
      self.selectors = []
      kind = .nothing
      return
    }
    self.path = path
    self.selectors = selectors
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw Failure("\(path)", cause: Errno(rawValue: errno))
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: kind = .directory
    case S_IFREG: kind = .file
    case S_IFBLK: kind = .blockDevice
    default: kind = .other
    }
  }

  /// Splits off the parts after colons, as far as what is before them exists.
  ///
  /// - Returns: `nil` when there is no such path.
  package static func split(_ text: String) -> (path: String, selectors: [String])? {
    var path = text
    var selectors: [String] = []
    while true {
      if access(path, F_OK) == 0 { return (path, selectors) }
      // It is there, but not for this user: the error is told by whoever opens it.
      if errno == EACCES { return (path, selectors) }
      guard let colon = path.lastIndex(of: ":") else { return nil }
      selectors.insert(String(path[path.index(after: colon)...]), at: 0)
      path = String(path[..<colon])
    }
  }

  /// Why it cannot be frozen when no provider knows it.
  package var refusal: Failure {
    switch kind {
    case .directory where !selectors.isEmpty:
      Failure(.invalid, "\(path) is a directory: it has no parts")
    case .nothing: Failure(.notFound, "\(text): there is no such file or volume")
    case .other: Failure(.invalid, "\(path) is neither a directory, nor a file, nor a block device")
    default: Failure(.unsupported, "\(text) is nothing that this floe freezes")
    }
  }
}

/// What a user says besides, of which each provider takes what concerns it.
package struct SearchOptions: Sendable {
  /// Where to look for physical volumes; empty for all block devices.
  package var physicalVolumes: [String] = []
  /// What the user says that is there, by the names of `DataFormat`.
  package var formats: [DataFormat] = []
  /// Files outside its own directory that a disk image may lead to.
  package var backing: [String] = []
  /// Whether the user promises that a volume rests.
  package var assumesFrozen = false
  /// Bytes that a snapshot of a logical volume may take; `nil` where nobody says.
  package var snapshotSize: UInt64?
  /// Whether the service may have such a snapshot grow while it fills up.
  package var extendsSnapshot = false
  /// Seconds after which writes to a file system go on that stand still for a snapshot.
  package var quietLimit: UInt64 = 10
  /// Whether files are to share blocks with copies of them although a snapshot could be made.
  package var prefersReflinks = false

  package init() {}
}

/// What a disk image is, or which file system is on top, in the words of `--format`.
package struct DataFormat: Hashable, Sendable {
  /// The word, as blkid(8) calls the type ("ext4").
  package let name: String
  /// Whether it is a disk image's format, and not a file system.
  package let isDisk: Bool

  package init(_ name: String, isDisk: Bool) {
    self.name = name
    self.isDisk = isDisk
  }
}
