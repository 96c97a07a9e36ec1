import CMountCalls
import FrozenFS
import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

extension MountTests {
  /// Extended attributes, access control lists and permissions.
  @Suite struct ExtendedAttributes {
    /// An access control list as the kernel's xattr form has it (linux/posix_acl_xattr.h):
    /// version 2, then tag, permissions and ID of each entry.
    private func list(_ entries: [(tag: UInt16, permissions: UInt16, id: UInt32)]) -> [UInt8] {
      var bytes: [UInt8] = [2, 0, 0, 0]
      for entry in entries {
        withUnsafeBytes(of: entry.tag.littleEndian) { bytes += $0 }
        withUnsafeBytes(of: entry.permissions.littleEndian) { bytes += $0 }
        withUnsafeBytes(of: entry.id.littleEndian) { bytes += $0 }
      }
      return bytes
    }

    private func names(of path: String, size: Int = 65536) throws -> Set<String> {
      var buffer = [CChar](repeating: 0, count: size)
      let count = try check(llistxattr(path, &buffer, size), "llistxattr")
      return Set(
        buffer.prefix(count).split(separator: 0).map {
          String(decoding: $0.map(UInt8.init(bitPattern:)), as: UTF8.self)
        })
    }

    private func value(_ name: String, of path: String, size: Int = 65536) throws -> [UInt8] {
      var buffer = [UInt8](repeating: 0, count: size)
      let count = try check(lgetxattr(path, name, &buffer, size), "lgetxattr \(name)")
      return Array(buffer.prefix(count))
    }

    /// The capability to bind low ports, as `setcap` stores it (linux/capability.h).
    private static let capability: [UInt8] =
      [1, 0, 0, 2, 0, 4, 0, 0] + Array(repeating: 0, count: 12)

    private func fileWithAttributes() -> SampleNode {
      var file = sampleFile(inode: 300, size: 1)
      file.extendedAttributes = [
        ("user.empty", []), ("user.text", Array("value".utf8)),
        ("user.large", Array(repeating: 7, count: 60_000)), ("trusted.secret", [0, 1, 2]),
        ("security.capability", Self.capability),
      ]
      return file
    }

    @Test func everyNamespaceAndSize() async throws {
      let file = fileWithAttributes()
      try await mounted(try MemoryImage([file, sampleFile(inode: 301, size: 1)])) { mount in
        let path = "\(mount.path)/300"
        let all = try names(of: path)
        #expect(all == Set(file.extendedAttributes.map(\.name)))
        for (name, expected) in file.extendedAttributes {
          #expect(try value(name, of: path) == expected)
          #expect(lgetxattr(path, name, nil, 0) == expected.count)
          if !expected.isEmpty {
            #expect(try value(name, of: path, size: expected.count) == expected)
            #expect(throws: CallError(call: "lgetxattr \(name)", errno: ERANGE)) {
              try value(name, of: path, size: expected.count - 1)
            }
          }
        }
        let length = file.extendedAttributes.reduce(0) { $0 + $1.name.utf8.count + 1 }
        #expect(llistxattr(path, nil, 0) == length)
        #expect(try names(of: path, size: length).count == 5)
        #expect(throws: CallError(call: "llistxattr", errno: ERANGE)) {
          try names(of: path, size: length - 1)
        }
        #expect(throws: CallError(call: "lgetxattr user.none", errno: ENODATA)) {
          try value("user.none", of: path)
        }
        #expect(try names(of: "\(mount.path)/301") == [])
        #expect(llistxattr("\(mount.path)/301", nil, 0) == 0)
      }
    }

    @Test func othersDoNotSeeTrustedNames() async throws {
      let image = try MemoryImage([fileWithAttributes()])
      try await mounted(image, options: ["allow_other"]) { mount in
        let seen = try output(asUser: 1234, "getfattr --absolute-names -m - \(mount.path)/300")
        #expect(seen.text.contains("user.text"))
        #expect(seen.text.contains("security.capability"))
        #expect(!seen.text.contains("trusted.secret"))
      }
    }

    @Test func accessControlListsAndPermissionsCount() async throws {
      var shared = sampleFile(inode: 310, size: 3, mode: 0o640)
      shared.extendedAttributes = [
        (
          "system.posix_acl_access",
          list([
            (0x01, 6, .max), (0x02, 4, 1234), (0x04, 0, .max), (0x10, 4, .max), (0x20, 0, .max),
          ])
        )
      ]
      let own = sampleFile(inode: 311, size: 3, mode: 0o600)
      let open = sampleFile(inode: 312, size: 3, mode: 0o644)
      let expected = shared.extendedAttributes[0]
      let image = try MemoryImage([shared, own, open])
      try await mounted(image, options: ["allow_other"]) { mount in
        // Cached for root first: what one may see must not be answered to another.
        for name in ["310", "311", "312"] { _ = try contents(of: "\(mount.path)/\(name)") }
        for (user, name, isAllowed) in [
          (1234, "310", true), (1235, "310", false), (1234, "311", false), (1234, "312", true),
          (0, "310", true), (1234, "310", true),
        ] as [(uid_t, String, Bool)] {
          let result = try output(asUser: user, "cat \(mount.path)/\(name)")
          #expect(
            (result.status == 0) == isAllowed, "user \(user), file \(name): \(result.text)")
        }
        #expect(try value(expected.name, of: "\(mount.path)/310") == expected.value)
        #expect(try names(of: "\(mount.path)/310") == [expected.name])
      }
    }

    /// Answers its own name and the node.
    private struct Echo: MountControl {
      func attribute(_ name: String, of node: NodeIndex) -> [UInt8]? {
        name == "floe.none" ? nil : Array("\(name) of \(node.rawValue)".utf8)
      }
    }

    @Test func controlAttributes() async throws {
      let image = try MemoryImage([sampleFile(inode: 300, size: 1)])
      let file = try #require(try image.tree.node(withInode: 300, inRoot: 0)).rawValue
      try await mounted(image, options: ["allow_other"], control: Echo()) { mount in
        let path = "\(mount.path)/300"
        let expected = "floe.explain.4096 of \(file)"
        #expect(try value("floe.explain.4096", of: path) == Array(expected.utf8))
        #expect(lgetxattr(path, "floe.explain.4096", nil, 0) == expected.utf8.count)
        #expect(throws: CallError(call: "lgetxattr floe.status", errno: ERANGE)) {
          try value("floe.status", of: mount.path, size: 3)
        }
        #expect(throws: CallError(call: "lgetxattr floe.none", errno: ENODATA)) {
          try value("floe.none", of: path)
        }
        #expect(try names(of: path) == [])
        let other = try output(asUser: 1234, "getfattr --absolute-names -n floe.status \(path)")
        #expect(other.status != 0)
        #expect(!other.text.contains("floe.status of"))
      }
    }
  }
}
