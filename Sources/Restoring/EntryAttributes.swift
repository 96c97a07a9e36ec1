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

  /// What could not be kept.
  struct Losses {
    /// The owner, which only root may set.
    var owner = false
    /// Extended attributes that the destination's file system does not know.
    var properties = 0
    /// What the destination refused.
    var failures: [Failure] = []
  }

  /// Gives an entry all of them: the owner first, as a new owner takes special bits and
  /// capabilities away; the mode after the extended attributes, as it may forbid to write them;
  /// and the times last.
  func apply(to entry: EntryHandle) -> Losses {
    var losses = Losses()
    do throws(Errno) {
      try entry.setOwner(attributes.owner, attributes.group)
    } catch {
      losses.owner = true
      if error != .notPermitted || geteuid() == 0 {
        losses.failures.append(Failure("its owner cannot be set", cause: error))
      }
    }
    applyExtended(to: entry, &losses)
    do throws(Errno) {
      if attributes.type != .symbolicLink {
        try entry.setMode(mode(ownerIsLost: losses.owner))
      }
    } catch {
      losses.failures.append(Failure("its mode cannot be set", cause: error))
    }
    do throws(Errno) {
      try entry.setTimes(accessed: attributes.accessed, modified: attributes.modified)
    } catch {
      losses.failures.append(Failure("its times cannot be set", cause: error))
    }
    return losses
  }

  /// A special bit would mean another owner where that is lost.
  private func mode(ownerIsLost: Bool) -> mode_t {
    mode_t(attributes.mode & (ownerIsLost ? 0o1777 : 0o7777))
  }

  /// Whether an entry of the same type has all of them already, so that nothing need be given
  /// to it: it may have been put there by somebody else.
  func areThose(of entry: EntryHandle) -> Bool {
    let found = entry.status
    let isOwn = found.st_uid == attributes.owner && found.st_gid == attributes.group
    guard isOwn || (geteuid() != 0 && found.st_uid == geteuid()),
      attributes.modified.isKept(as: found.st_mtim),
      attributes.type == .symbolicLink || found.st_mode & 0o7777 == mode(ownerIsLost: !isOwn)
    else { return false }
    let names = Set(entry.attributeNames)
    let isWithoutOthers = names.subtracting(extended.map(\.name)).allSatisfy {
      $0 == Self.ownLabel || !Self.isOfEveryFileSystem($0)
    }
    return isWithoutOthers
      && extended.allSatisfy { name, value in
        name == Self.ownLabel || !Self.isOfEveryFileSystem(name) || entry.attribute(name) == value
      }
  }

  // MARK: - Extended attributes

  /// Those that this host gives a file itself.
  private static let ownLabel = Array("security.selinux".utf8)

  /// Others are properties of the file system that they come from.
  private static func isOfEveryFileSystem(_ name: [UInt8]) -> Bool {
    ["user.", "trusted.", "security.", "system."].contains { name.starts(with: Array($0.utf8)) }
  }

  private func applyExtended(to entry: EntryHandle, _ losses: inout Losses) {
    if problem == nil { removeOthers(of: entry) }
    for (name, value) in extended {
      do throws(Errno) {
        try entry.setAttribute(name, value)
      } catch {
        if error == .notSupported, !Self.isOfEveryFileSystem(name) {
          losses.properties += 1
        } else if name != Self.ownLabel {
          losses.failures.append(
            Failure(
              "its extended attribute \(PathText.text(of: name)) cannot be set", cause: error))
        }
      }
    }
  }

  /// Removes what the entry has and is not to have: a default ACL of the directory above gives
  /// every new file one.
  private func removeOthers(of entry: EntryHandle) {
    let wanted = Set(extended.map(\.name))
    for found in entry.attributeNames where !wanted.contains(found) && found != Self.ownLabel {
      // One that cannot be removed is the file system's own.
      try? entry.removeAttribute(found)
    }
  }
}
