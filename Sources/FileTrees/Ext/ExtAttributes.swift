import DataSets
import FrozenImage

/// An extended attribute as it is kept (`struct ext4_xattr_entry`, fs/ext4/xattr.h).
struct ExtAttribute {
  /// The namespace.
  let index: UInt8
  /// The name behind the namespace's.
  let name: [UInt8]
  let value: [UInt8]

  /// The attribute `system.data`: the rest of an inline file.
  static let inlineDataIndex: UInt8 = 7

  /// The whole name and the value as `listxattr` and `getxattr` tell them; `nil` for
  /// what the kernel shows to nobody.
  ///
  /// - Throws: `StackError` for an access control list that is malformed.
  func visible(of inode: UInt32, in title: String) throws(StackError) -> (
    name: [UInt8], value: [UInt8]
  )? {
    switch index {
    case 1: return (Array("user.".utf8) + name, value)
    case 4: return (Array("trusted.".utf8) + name, value)
    case 6: return (Array("security.".utf8) + name, value)
    case 10: return (Array("gnu.".utf8) + name, value)
    case 2, 3:
      guard let list = Self.accessControlList(value) else {
        throw StackError(
          .malformed, "the access control list of inode \(inode) of \(title) is malformed")
      }
      let name = index == 2 ? "system.posix_acl_access" : "system.posix_acl_default"
      return list.isEmpty ? nil : (Array(name.utf8), list)
    default: return nil
    }
  }

  /// An access control list in the form of the kernel's interface (version 2,
  /// linux/posix_acl_xattr.h), from the one on disk (version 1, fs/ext4/acl.h), where
  /// entries without a user or group are shorter. An empty list is none.
  private static func accessControlList(_ bytes: [UInt8]) -> [UInt8]? {
    guard ExtSuperblock.number(bytes, 0) as UInt32 == 1, bytes.count >= 4 else { return nil }
    var list: [UInt8] = [2, 0, 0, 0]
    var position = 4
    while position < bytes.count {
      guard bytes.count - position >= 4 else { return nil }
      list += bytes[position..<position + 4]
      let tag: UInt16 = ExtSuperblock.number(bytes, position)
      switch tag {
      case 0x01, 0x04, 0x10, 0x20:
        list += [0xFF, 0xFF, 0xFF, 0xFF]
        position += 4
      case 0x02, 0x08:
        guard bytes.count - position >= 8 else { return nil }
        list += bytes[position + 4..<position + 8]
        position += 8
      default: return nil
      }
    }
    return list.count > 4 ? list : []
  }
}

extension ExtVolume {
  /// The file content that lies in the inode: in `i_block`, and in an attribute.
  func inlineBytes(
    of inode: ExtInode
  ) throws(StackError) -> (inInode: [UInt8], inAttribute: [UInt8]) {
    var found = ReadAttributes()
    readAttributesInInode(inode, into: &found)
    let rest = found.attributes.first {
      $0.index == ExtAttribute.inlineDataIndex && $0.name.elementsEqual("data".utf8)
    }
    guard let rest else {
      throw found.problem
        ?? StackError(
          .malformed, "inode \(inode.number) of \(title) lacks its inline data: run e2fsck")
    }
    return (Array(inode.blockBytes), rest.value)
  }

  /// Extended attributes as far as they can be read.
  struct ReadAttributes {
    var attributes: [ExtAttribute] = []
    /// Why some are missing; `nil` when none is.
    var problem: StackError?
  }

  /// All extended attributes of an inode that can be read. Those in the inode and those in
  /// the block do not depend on each other.
  func attributes(of inode: ExtInode) -> ReadAttributes {
    var found = ReadAttributes()
    readAttributesInInode(inode, into: &found)
    guard inode.attributeBlock != 0 else { return found }
    do throws(StackError) {
      let block = try attributeBlock(inode.attributeBlock, of: inode.number)
      // `struct ext4_xattr_header`; values lie at offsets from the start of the block.
      readEntries(in: block[...], first: 32, of: inode, into: &found)
    } catch {
      found.problem = found.problem ?? error
    }
    return found
  }

  /// Behind the inode's fields: a magic number, entries, and from the end values, at
  /// offsets from the first entry.
  private func readAttributesInInode(_ inode: ExtInode, into found: inout ReadAttributes) {
    let start = inode.attributeStart
    guard start + 4 <= inode.bytes.count,
      ExtSuperblock.number(inode.bytes, start) as UInt32 == 0xEA02_0000
    else { return }
    readEntries(in: inode.bytes[(start + 4)...], first: 0, of: inode, into: &found)
  }

  private func readEntries(
    in region: ArraySlice<UInt8>, first: Int, of inode: ExtInode, into found: inout ReadAttributes
  ) {
    do throws(StackError) {
      try entries(in: region, first: first, of: inode, into: &found)
    } catch {
      found.problem = found.problem ?? error
    }
  }

  /// - Throws: `StackError` where the list is malformed; a value that cannot be read is
  ///   passed over and noted.
  private func entries(
    in region: ArraySlice<UInt8>, first: Int, of inode: ExtInode, into found: inout ReadAttributes
  ) throws(StackError) {
    let bytes = Array(region)
    let malformed = StackError(
      .malformed,
      "an extended attribute of inode \(inode.number) of \(title) is malformed: run e2fsck")
    var position = first
    while position + 4 <= bytes.count, ExtSuperblock.number(bytes, position) as UInt32 != 0 {
      let nameLength = Int(bytes[position])
      guard position + 16 + nameLength <= bytes.count else { throw malformed }
      let offset: UInt16 = ExtSuperblock.number(bytes, position + 2)
      let valueInode: UInt32 = ExtSuperblock.number(bytes, position + 4)
      let size: UInt32 = ExtSuperblock.number(bytes, position + 8)
      let next = position + 16 + (nameLength + 3) & ~3
      var value: [UInt8] = []
      if size > ExtVolume.maximumValueLength { throw malformed }
      if valueInode != 0 {
        do throws(StackError) {
          value = try self.value(in: valueInode, count: Int(size), of: inode)
        } catch {
          found.problem = found.problem ?? error
          position = next
          continue
        }
      } else if size > 0 {
        let end = Int(offset) + Int(size)
        guard end <= bytes.count else { throw malformed }
        value = Array(bytes[Int(offset)..<end])
      }
      found.attributes.append(
        ExtAttribute(
          index: bytes[position + 1],
          name: Array(bytes[position + 16..<position + 16 + nameLength]),
          value: value))
      position = next
    }
  }

  /// Most bytes of a value (`XATTR_SIZE_MAX`, linux/limits.h).
  private static let maximumValueLength: UInt32 = 65536

  /// A large value, which lies in an inode of its own (feature `ea_inode`).
  private func value(
    in number: UInt32, count: Int, of owner: ExtInode
  ) throws(StackError) -> [UInt8] {
    let inode = try self.inode(number)
    guard inode.flags & ExtInode.Flag.attributeValue != 0, inode.attributes.type == .regular,
      inode.flags & ExtInode.Flag.inlineData == 0, inode.attributes.size == UInt64(count)
    else {
      throw StackError(
        .malformed,
        "inode \(number) of \(title) does not hold an extended attribute of inode \(owner.number)")
    }
    var bytes = [UInt8](repeating: 0, count: count)
    var failure: StackError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(StackError) { _ = try read(inode, at: 0, into: buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }
}
