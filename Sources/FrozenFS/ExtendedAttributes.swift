import CFuse3
import FrozenImage
import Glibc
import LogicalRepresentation
import SystemPackage

/// The names of the mount's own attributes, which `MountControl` answers.
private let controlPrefix = "floe."
/// A namespace that only root may see. The kernel guards its values; a list of names
/// is the file system's own affair (xattr(7)).
private let trustedPrefix = "trusted."

extension FrozenFileSystem {
  /// Answers the value of an extended attribute, or its size when `size` is 0.
  func extendedAttribute(
    _ name: UnsafeRawBufferPointer, of number: fuse_ino_t, size: Int, _ reply: consuming Reply
  ) {
    let node = numbers.node(of: number)
    if name.starts(with: controlPrefix.utf8) {
      let mayAsk = reply.user == 0 || reply.user == owner
      guard mayAsk, let value = control.attribute(String(decoding: name, as: UTF8.self), of: node)
      else { return reply.failure(.noData) }
      var pending: Reply? = reply
      value.withUnsafeBytes { pending.take()?.value($0, size: size) }
      return
    }
    do throws(Errno) {
      let value = try metadata { () throws(RepresentationError) in
        try tree.extendedAttribute(name, of: node)
      }
      guard let value else { return reply.failure(.noData) }
      reply.value(value, size: size)
    } catch {
      reply.failure(error)
    }
  }

  /// Answers the names of the extended attributes, each with a NUL behind it, or
  /// how many bytes they take when `size` is 0.
  func extendedAttributeNames(of number: fuse_ino_t, size: Int, _ reply: consuming Reply) {
    let node = numbers.node(of: number)
    do throws(Errno) {
      let all = try metadata { () throws(RepresentationError) in
        try tree.extendedAttributes(of: node)
      }
      let isRoot = reply.user == 0
      var names: [UInt8] = []
      for attribute in all where isRoot || !attribute.name.starts(with: trustedPrefix.utf8) {
        names += attribute.name
        names.append(0)
      }
      var pending: Reply? = reply
      names.withUnsafeBytes { pending.take()?.value($0, size: size) }
    } catch {
      reply.failure(error)
    }
  }
}

extension Reply {
  /// Answers a value to a reader with room for `size` bytes; 0 asks for the size only.
  fileprivate consuming func value(_ value: UnsafeRawBufferPointer, size: Int) {
    if size == 0 {
      attributeSize(value.count)
    } else if value.count > size {
      failure(Errno(rawValue: ERANGE))
    } else {
      bytes(value)
    }
  }
}
