import FrozenImage
import Glibc
import LogicalRepresentation
import Media
import Testing

@testable import FileTrees
@testable import VolumeLayers

extension ExtTests {
  /// What is not at rest is refused, and what does not rest afterwards is seen.
  @Suite("ext refusals") struct RefusalTests {
    private func refusal(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "nothing was refused"
      } catch {
        return "\(error)"
      }
    }

    @Test(arguments: [
      ("mkfs.ext4", "the journal of"), ("mkfs.ext3", "the journal of"),
      ("mkfs.ext2", "was not unmounted cleanly"),
      ("mkfs.ext4 -O ^has_journal", "was not unmounted cleanly"),
    ])
    func whatWasNotUnmountedIsRefused(format: String, reason: String) throws {
      let image = try ExtImage(format, size: "64M")
      let copy = image.directory + "/copy"
      try image.fill(
        """
        head -c 1M /dev/urandom > file; sync; head -c 1M /dev/urandom > other; sync
        cp \(image.path) \(copy)
        """)
      let torn = Layer(try OpenMedium(path: copy))
      #expect(refusal { _ = try ExtFileSystem(on: torn) }.contains(reason))
      // As the sentence says.
      try shell("e2fsck -p \(copy) >/dev/null", ignoringFailure: true)
      _ = try DescribedExt(try ExtFileSystem(on: Layer(try OpenMedium(path: copy))))
    }

    @Test(arguments: ["mkfs.ext4", "mkfs.ext2", "mkfs.ext3"])
    func mountingForWritingChangesTheWitnessFirst(format: String) throws {
      let image = try ExtImage(format, size: "64M")
      try image.fill("head -c 100000 /dev/urandom > file")
      let fileSystem = try image.open()
      let known = fileSystem.witnessBytes
      let stack = try Stack(
        top: fileSystem.layer, identity: ExtFileSystem.identity, witness: ExtFileSystem.witness)
      let state = try stack.configurationID()
      try image.mounted("ro") {
        try shell("cat \(image.mount)/file >/dev/null")
        #expect(try fileSystem.isUnchanged(since: known))
      }
      #expect(try fileSystem.isUnchanged(since: known))
      #expect(try stack.configurationID() == state)
      // Nothing was written yet but by the mount itself.
      let isUnchanged = try image.mounted { try fileSystem.isUnchanged(since: known) }
      #expect(!isUnchanged)
      #expect(try fileSystem.isUnchanged(since: known) == false)
      #expect(try stack.configurationID() != state)
      #expect(refusal { _ = try DescribedExt(fileSystem) }.contains("mounted or written"))
      // The file system is the same, in a new state.
      let again = try image.open()
      #expect(again.id == fileSystem.id && again.witnessBytes != known)
    }

    @Test func mountingReadOnlyAndThenForWritingIsSeen() throws {
      let image = try ExtImage("mkfs.ext4", size: "64M")
      try image.fill(": > file")
      let fileSystem = try image.open()
      // A loop device that is read-only itself would not let it.
      let device = try shell("losetup -f --show \(image.path)").trimmed
      defer { _ = try? shell("umount \(image.mount); losetup -d \(device)") }
      try shell("mount -o ro \(device) \(image.mount)")
      #expect(try fileSystem.isUnchanged(since: fileSystem.witnessBytes))
      do {
        try shell("mount -o remount,rw \(image.mount)")
        #expect(try fileSystem.isUnchanged(since: fileSystem.witnessBytes) == false)
      }
    }

    @Test func anEncryptedDirectoryIsNamedByItsPath() throws {
      let image = try ExtImage("mkfs.ext4 -O encrypt", size: "64M")
      try image.fill("mkdir plain; echo plain > plain/file")
      // The feature alone harms nobody.
      _ = try DescribedExt(image.open())
      try image.fill(
        "mkdir plain/secret; echo x > plain/secret/f", mounting: "test_dummy_encryption")
      let described = try DescribedExt(try image.open())
      let reasons = try described.representation.unreadableReasons()
      #expect(reasons.keys.sorted() == ["/plain/secret content"])
      #expect(reasons.values.first?.contains("encrypted") == true)
      #expect(
        try described.bytes(of: described.node("plain/file"), in: 0..<5) == Array("plain".utf8))
    }

    @Test func hiddenInodesStayHidden() throws {
      // A deleted file that was open when the power went, its journal replayed.
      let image = try ExtImage("mkfs.ext4 -O orphan_file", size: "64M")
      let copy = image.directory + "/copy"
      try image.fill(
        """
        mkdir d; echo kept > d/kept; exec 3>d/gone; head -c 50000 /dev/urandom >&3; rm d/gone
        sync; cp \(image.path) \(copy); exec 3>&-
        """)
      try shell("e2fsck -E journal_only -p \(copy) >/dev/null", ignoringFailure: true)
      let described = try DescribedExt(try ExtFileSystem(on: Layer(try OpenMedium(path: copy))))
      let node = try described.node("d")
      #expect(try described.representation.entry(at: 0, of: node) != nil)
      #expect(try described.representation.entry(at: 1, of: node) == nil)
      #expect(try described.node("lost+found").rawValue > 0)
    }

    /// A kernel without quotas mounts such a file system for reading alone.
    @Test func quotaFilesStayHidden() throws {
      let image = try ExtImage(
        "mkfs.ext4 -O project,quota,orphan_file", size: "64M", content: "mkdir d; echo x > d/f")
      let described = try DescribedExt(image.open())
      let nodes = try image.mounted("ro") {
        var oracle = try MountedOracle(described, mount: image.mount)
        try oracle.compare(described.root)
        return oracle.nodes
      }
      #expect(nodes == 4)
    }
  }
}
