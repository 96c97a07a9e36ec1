import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// What an entry is to have besides its content: owner, mode, extended attributes (ACLs and
/// capabilities are some of them), times.
struct EntryAttributes {
  let attributes: NodeAttributes
  /// By name, which is text with its namespace.
  private let extended: [(name: [UInt8], value: [UInt8])]
  /// Why the image does not have all extended attributes; `nil` when it has.
  let problem: RepresentationError?

  init(of node: NodeIndex, _ attributes: NodeAttributes, in representation: Representation) {
    self.attributes = attributes
    do throws(RepresentationError) {
      extended = try representation.extendedAttributes(of: node).map {
        (Array($0.name), Array($0.value))
      }
      problem = nil
    } catch {
      extended = []
      problem = error
    }
  }

  /// What could not be kept, though nothing is wrong with the image or the destination.
  struct Losses {
    /// The owner, which only root may set.
    var owner = false
    /// Extended attributes that the destination's file system does not know.
    var properties = 0
  }

  /// Gives an entry all of them: the owner first, as a new owner takes special bits and
  /// capabilities away, and the times last.
  ///
  /// - Throws: `Failure` that names the attribute.
  func apply(to name: EntryName, in directory: DestinationDirectory) throws(Failure) -> Losses {
    var losses = Losses()
    do throws(Errno) {
      try directory.setOwner(of: name, attributes.owner, attributes.group)
    } catch {
      guard error == .notPermitted, geteuid() != 0 else {
        throw Failure("its owner cannot be set", cause: error)
      }
      losses.owner = true
    }
    do throws(Errno) {
      if attributes.type != .symbolicLink {
        // A special bit would mean another owner.
        let mode = losses.owner ? attributes.mode & 0o1777 : attributes.mode
        try directory.setMode(of: name, mode_t(mode & 0o7777))
      }
    } catch {
      throw Failure("its mode cannot be set", cause: error)
    }
    losses.properties = try applyExtended(to: name, in: directory)
    do throws(Errno) {
      try directory.setTimes(
        of: name, accessed: attributes.accessed, modified: attributes.modified)
    } catch {
      throw Failure("its times cannot be set", cause: error)
    }
    return losses
  }

  // MARK: - Extended attributes

  /// Those that this host gives a file itself.
  private static let ownLabel = Array("security.selinux".utf8)
  /// Those of all file systems; others are properties of the one that they come from.
  private static let namespaces = ["user.", "trusted.", "security.", "system."]

  /// - Returns: how many properties the destination does not know.
  private func applyExtended(
    to name: EntryName, in directory: DestinationDirectory
  ) throws(Failure) -> Int {
    if problem == nil { removeOthers(of: name, in: directory) }
    var unknown = 0
    for (attribute, value) in extended {
      let key = attribute.map { CChar(bitPattern: $0) } + [0]
      let result = directory.withPath(of: name) { path in
        value.withUnsafeBytes {
          floe_set_own_attribute(path, key, $0.baseAddress, $0.count)
        }
      }
      guard result != 0 else { continue }
      let error = Errno(rawValue: errno)
      let text = PathText.text(of: attribute)
      if error == .notSupported, !Self.namespaces.contains(where: text.hasPrefix) {
        unknown += 1
        continue
      }
      if attribute == Self.ownLabel { continue }
      throw Failure("its extended attribute \(text) cannot be set", cause: error)
    }
    return unknown
  }

  /// Removes what the entry has and is not to have: a default ACL of the directory above gives
  /// every new file one.
  private func removeOthers(of name: EntryName, in directory: DestinationDirectory) {
    let wanted = Set(extended.map(\.name))
    for found in Self.names(of: name, in: directory)
    where !wanted.contains(found) && found != Self.ownLabel {
      let key = found.map { CChar(bitPattern: $0) } + [0]
      // One that cannot be removed is the file system's own.
      _ = directory.withPath(of: name) { floe_remove_own_attribute($0, key) }
    }
  }

  private static func names(
    of name: EntryName, in directory: DestinationDirectory
  ) -> [[UInt8]] {
    directory.withPath(of: name) { path in
      let size = floe_list_own_attributes(path, nil, 0)
      guard size > 0 else { return [] }
      var list = [CChar](repeating: 0, count: size)
      let count = floe_list_own_attributes(path, &list, size)
      guard count > 0 else { return [] }
      return list.prefix(count).split(separator: 0).map { $0.map { UInt8(bitPattern: $0) } }
    }
  }
}
