import FrozenImage
import Glibc
import TestTags
import Testing

@testable import HostSystem
@testable import Media

/// What the owner of a representation's file may read, and so what his file may name.
@Suite(.tags(.needsRoot), .enabled(if: geteuid() == 0, "needs root, to act as another user"))
struct FileOwnerTests {
  private let nobody = FileOwner(user: 65534)
  /// In the database of users of every Debian, with a group of his own.
  private let daemon = FileOwner(user: 1)

  private func find(
    _ description: MediumDescription, for owner: FileOwner
  ) throws(MediumFinder.Failure) -> String {
    try MediumFinder(named: [:], trust: MediumTrust(owner: owner, followsPaths: true))
      .find(description, witness: nil).path
  }

  private func expectTaken(
    _ description: MediumDescription, for owner: FileOwner, _ isTaken: Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do throws(MediumFinder.Failure) {
      let path = try find(description, for: owner)
      #expect(isTaken && path == description.path, sourceLocation: sourceLocation)
    } catch {
      guard case .ownerMayNotRead(_, _, description.path, owner, _) = error, !isTaken else {
        Issue.record("\(error)", sourceLocation: sourceLocation)
        return
      }
    }
  }

  /// Everybody may read the file, but not everybody reaches it.
  @Test func aDirectoryThatTheOwnerCannotEnterKeepsHimOut() throws {
    var template = Array("/dev/shm/floe-owner-XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    let inner = "\(directory)/inner"
    defer { _ = ChildProcess.run("rm", ["rm", "-rf", directory]) }
    mkdir(inner, 0o755)
    let file = try RandomFile(count: 1 << 20, on: inner)
    let known = try description(of: file, path: file.path)
    chmod(file.path, 0o644)
    chmod(directory, 0o700)
    expectTaken(known, for: nobody, false)
    expectTaken(known, for: .anybody, false)
    expectTaken(known, for: FileOwner(user: 0), true)
    chmod(directory, 0o711)
    expectTaken(known, for: nobody, true)
    expectTaken(known, for: .anybody, true)
    chmod(inner, 0o600)
    expectTaken(known, for: nobody, false)
    chmod(inner, 0o755)
    chown(directory, 65534, 0)
    chmod(directory, 0o100)
    expectTaken(known, for: nobody, true)
    expectTaken(known, for: daemon, false)
  }

  @Test func theMediumsOwnGroupAndListCount() throws {
    let file = try RandomFile(count: 1 << 20)
    let known = try description(of: file, path: file.path)
    // root's, of a group.
    chown(file.path, 0, 1)
    chmod(file.path, 0o640)
    expectTaken(known, for: daemon, true)
    expectTaken(known, for: nobody, false)
    // Another's, who is let in by a list.
    chown(file.path, 1, 0)
    chmod(file.path, 0o600)
    expectTaken(known, for: daemon, true)
    expectTaken(known, for: nobody, false)
    expectTaken(known, for: FileOwner(user: 0), true)
    #expect(ChildProcess.run("setfacl", ["setfacl", "-m", "u:65534:r", file.path]) == 0)
    expectTaken(known, for: nobody, true)
    // The owner's own bits come first, as for every open.
    #expect(ChildProcess.run("setfacl", ["setfacl", "-b", file.path]) == 0)
    chmod(file.path, 0o044)
    expectTaken(known, for: daemon, false)
    expectTaken(known, for: nobody, true)
    #expect(!daemon.isTrusted && FileOwner(user: 0).isTrusted && !FileOwner.anybody.isTrusted)
  }

  @Test func aNumberThatTheUserDatabaseDoesNotKnowHasNoGroup() {
    let unknown = FileOwner(user: 3_999_999)
    #expect(unknown.groups == [65534] && !unknown.isTrusted)
    #expect(unknown.description == "user 3999999")
    #expect(daemon.groups.first == 1 && daemon.description == "user 1 (daemon)")
  }
}

/// FUSE mounts that keep others out, as mountinfo tells of them.
@Suite struct FuseBarrierTests {
  private func mounts(_ options: String, type: String = "fuse.floe") throws -> [MountEntry] {
    try ["1 0 8:1 / / rw - ext4 /dev/sda rw", "2 1 0:50 / /m/fuse ro - \(type) floe ro,\(options)"]
      .map { try #require(MountEntry(line: Array($0.utf8))) }
  }

  private func isHeld(
    _ path: String, _ owner: FileOwner, _ mounts: [MountEntry]
  ) -> Bool {
    FuseBarrier.find(onTheWayTo: path, for: owner, amongst: mounts) != nil
  }

  @Test func holdsEverybodyButWhoMounted() throws {
    let nobody = FileOwner(user: 65534)
    let root = try mounts("user_id=0,group_id=0,default_permissions")
    for path in ["/m/fuse", "/m/fuse/disk.img", "/m/fuse/a/b"] {
      #expect(isHeld(path, nobody, root) && isHeld(path, .anybody, root), "\(path)")
    }
    for path in ["/m", "/m/fuse2/disk.img", "/m/fus", "/dev/sdb"] {
      #expect(!isHeld(path, nobody, root), "\(path)")
    }
    let own = try mounts("user_id=65534,group_id=0")
    #expect(!isHeld("/m/fuse/disk.img", nobody, own))
    // Whoever may write the representation is not who mounted.
    #expect(isHeld("/m/fuse/disk.img", .anybody, own))
    #expect(isHeld("/m/fuse/disk.img", FileOwner(user: 1), own))
    let open = try mounts("user_id=0,group_id=0,allow_other")
    #expect(!isHeld("/m/fuse/disk.img", nobody, open))
    #expect(isHeld("/m/fuse/disk.img", nobody, try mounts("group_id=0", type: "fuseblk")))
    #expect(!isHeld("/m/fuse/disk.img", nobody, try mounts("size=4k", type: "tmpfs")))
  }
}
