import CFileMap
import DataSets
import FileTrees
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

extension ReflinkCopy {
  /// Sets owner, extended attributes (ACLs are among them), mode and times, in the order
  /// in which none takes another away: a new owner clears set-user-ID and capabilities.
  ///
  /// - Parameter notes: whether the copy notes what it is the copy of.
  func copyMetadata(
    of source: FileDescriptor, _ attributes: NodeAttributes, to target: FileDescriptor,
    notes: Bool
  ) throws(Errno) {
    // A node that is open only to be looked at takes no calls itself; its link in /proc
    // leads to it.
    let path = "/proc/self/fd/\(target.rawValue)"
    guard
      fchownat(target.rawValue, "", attributes.owner, attributes.group, cfilemap_at_empty_path) == 0
    else { throw Errno(rawValue: errno) }
    try copyExtendedAttributes(of: source, to: target)
    if attributes.type != .symbolicLink {
      guard chmod(path, attributes.mode & 0o7777) == 0 else { throw Errno(rawValue: errno) }
    }
    // Where an original is younger than the copying, its inode number may be that of another
    // one that was copied and deleted before.
    // One that was deleted meanwhile has no link left to show.
    if notes, attributes.links > 0, let born = attributes.created,
      (born.seconds, born.nanoseconds) < (begin.seconds, begin.nanoseconds)
    {
      try OriginalMark.set(NodeIdentity(attributes), of: target)
    }
    let times = [timespec(attributes.accessed), timespec(attributes.modified)]
    guard utimensat(target.rawValue, "", times, cfilemap_at_empty_path) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  private func copyExtendedAttributes(
    of source: FileDescriptor, to target: FileDescriptor
  ) throws(Errno) {
    let (from, to) = (ExtendedAttributeList(of: source), ExtendedAttributeList(of: target))
    // XFS shows an ACL a second time, as it lies on the media.
    let shadows = Set(["trusted.SGI_ACL_FILE".nameBytes, "trusted.SGI_ACL_DEFAULT".nameBytes])
    func isCopied(_ name: [CChar]) -> Bool {
      !shadows.contains(name) && !UnreadableMarks.isMark(name)
    }
    var names: [[CChar]] = []
    var problem: Errno?
    do throws(Errno) { names = try from.names().filter(isCopied) } catch {
      guard error.concernsOneNode else { throw error }
      problem = error
    }
    for name in try to.names() where !names.contains(name) && isCopied(name) {
      try to.remove(name)
    }
    for name in names {
      do throws(Errno) {
        try to.set(name, to: from.value(of: name))
      } catch {
        // Taken away since the names were listed.
        if error == .noData { continue }
        guard error.concernsOneNode else { throw error }
        problem = problem ?? error
      }
    }
    guard let problem else { return }
    let reason = StackError(cannot: "copy all of them", problem)
    try UnreadableMarks.set(.extendedAttributes, of: target, reason: reason.description)
  }
}

extension timespec {
  fileprivate init(_ time: Timestamp) {
    self.init(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
  }
}
