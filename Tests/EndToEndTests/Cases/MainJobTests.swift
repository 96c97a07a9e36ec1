import TestTags
import Testing

extension EndToEnd {
  /// The main job: a copy of the image through the mount, while its blocks move
  /// and their old places are overwritten and discarded.
  @Suite("Main job", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct MainJob {
    struct Case: CustomTestStringConvertible, Sendable {
      let profile: Volume.Profile
      let size: Tree.Size
      let takesSnapshot: Bool

      var testDescription: String { profile.testDescription }
    }

    static let cases = [
      Case(profile: .raid1, size: .complete, takesSnapshot: false),
      Case(profile: .singleOverTwo, size: .reduced, takesSnapshot: true),
      Case(profile: .raid0, size: .reduced, takesSnapshot: false),
      Case(profile: .raid10, size: .reduced, takesSnapshot: false),
    ]

    /// What btrfs makes up anew each time it shows it: the times of the empty
    /// directory in the place of a nested subvolume.
    private let untimed = ["--untimed", "special/subvolume"]
    /// True remaps that one copy has to live through.
    private let leastRemaps: UInt64 = 20

    @Test("rsync, tar and the mount itself show the snapshot", arguments: cases)
    func copies(_ example: Case) throws {
      let site = try Site(
        example.profile, megabytes: 3072, takesSnapshot: example.takesSnapshot
      ) { try $0.build(example.size) }
      let second = try Volume(.single, in: site.scratch, megabytes: 6144, name: "second")
      let mover = try site.mover()
      try rsync(site, to: "\(second.mountpoint)/rsync")
      try tar(site, to: "\(second.mountpoint)/tar", archive: "\(second.mountpoint)/archive.tar")
      try wholeMount(site)
      #expect(mover.turns(of: "balance") > 0)
      #expect(mover.turns(of: "rewrite") > 0)
      #expect(mover.turns(of: "discard") > 0)
      try mover.stop()
    }

    private func rsync(_ site: Site, to copy: String) throws {
      let backup = try site.mount()
      try run(
        "rsync", ["-aHAXS", "--exclude=/\(Tree.hugeSparse)", "\(backup.mountpoint)/", copy])
      let status = try backup.status()
      print(
        "rsync: \(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away,",
        "bytes: \(status.bytes)")
      #expect(status.remaps >= leastRemaps, "\(status)")
      #expect(status.discarded_reads > 0, "\(status)")
      #expect(status.errors == 0, "\(status)")
      try backup.unmount()
      try Manifest(.copy, of: copy, options: untimed).expectSame(
        as: Manifest(.copy, of: site.snapshot, skip: [Tree.hugeSparse], options: untimed),
        "the copy by rsync")
    }

    private func tar(_ site: Site, to copy: String, archive: String) throws {
      let backup = try site.mount()
      let metadata = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
      try run(
        "tar",
        ["-C", backup.mountpoint, "--format=posix", "--sparse"] + metadata + ["-cf", archive, "."])
      let status = try backup.status()
      #expect(status.remaps > 0, "\(status)")
      #expect(status.errors == 0, "\(status)")
      try backup.unmount()
      try run("mkdir", [copy])
      try run("tar", ["-C", copy] + metadata + ["-xpf", archive])
      // tar keeps no sockets, and no links between FIFOs.
      let options = untimed + ["--skip-type", "s"]
      let skip = ["links/fifo", "links/fifo-again"]
      try Manifest(.copy, of: copy, skip: skip, options: options).expectSame(
        as: Manifest(.copy, of: site.snapshot, skip: skip, options: options), "the copy by tar")
    }

    /// What no copy keeps: inode numbers, all times, blocks, holes.
    private func wholeMount(_ site: Site) throws {
      let backup = try site.mount()
      let mounted = try Manifest(
        .full, of: backup.mountpoint, options: untimed + ["--directory-inodes"])
      // A snapshot's readdir gives the nested subvolume's number where its stat
      // gives 2, so only the mount's is checked.
      try mounted.expectSame(
        as: Manifest(.full, of: site.snapshot, options: untimed), "the mount")
      try backup.unmount()
    }
  }
}
