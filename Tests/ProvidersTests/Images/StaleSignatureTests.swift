import Glibc
import TestTags
import Testing

@testable import FileTrees
@testable import StackProvider
@testable import VolumeLayers

/// Layers with signatures of several formats: the wrong one must never be taken.
@Suite(
  "Signatures of several formats", .serialized,
  .enabled(if: ImageTools.suffice("mkfs.ext4 mkfs.xfs tune2fs blkid")))
struct StaleSignatureTests {
  let files: ImageFiles
  private let size = 320 << 20

  init() throws { files = try ImageFiles() }

  private func make(_ options: String = "") throws {
    try files.run("truncate -s \(size) disk; mkfs.ext4 -q -F \(options) disk")
  }

  /// The uberblocks of one of ZFS's labels, which libblkid looks for.
  private func addLabel(_ number: Int) throws {
    let length = 256 << 10
    let start = number < 2 ? number * length : size - (4 - number) * length
    for index in 0..<16 {
      let words = [UInt64(0x00BA_B10C), 28, UInt64(index + 1)].map(\.littleEndian)
      try files.overwrite(
        words.withUnsafeBytes { Array($0) }, of: "disk", at: start + length / 2 + index * 1024)
    }
  }

  private func find(_ content: StackPlace.Content? = nil) throws -> FoundStack {
    try StackFinder(
      StackPlace(
        start: .path(files.path("disk")), selectors: [], physicalVolumes: [], content: content,
        assumesFrozen: false)
    ).find()
  }

  /// Refused with both names, and read when the user says so.
  private func expectDoubt(
    _ other: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let sentence = refusal(sourceLocation: sourceLocation) { _ = try find() }
    #expect(sentence.contains("has signatures of"), sourceLocation: sourceLocation)
    #expect(sentence.contains(other), "\(sentence)", sourceLocation: sourceLocation)
    #expect(sentence.contains("--format ext"), "\(sentence)", sourceLocation: sourceLocation)
    #expect(try find(.ext).content?.kind == "ext", sourceLocation: sourceLocation)
  }

  @Test(arguments: [[2], [3], [2, 3]])
  func poolWhoseFirstLabelsAreGoneIsStale(_ labels: [Int]) throws {
    try make()
    for label in labels { try addLabel(label) }
    #expect(try files.run("blkid -p disk >/dev/null 2>&1 || echo $?").trimmed == "8")
    #expect(try find().content?.kind == "ext")
  }

  /// A pool that was made over an ext4 leaves its superblock, the first descriptors and much
  /// more in place.
  @Test(arguments: [[0], [1, 3], [0, 1, 2, 3]])
  func poolThatMayBeInUseIsNot(_ labels: [Int]) throws {
    try make()
    for label in labels { try addLabel(label) }
    try expectDoubt("zfs_member")
  }

  @Test func fileSystemThatIsNotWholeIsDoubted() throws {
    for damage in ["descriptors", "backup", "directory", "size"] {
      try make("-b 4096")
      try addLabel(3)
      let volume = try ExtFileSystem(on: files.layer("disk"))
      #expect(try find().content?.id == volume.id, "\(damage)")
      switch damage {
      // Of the last of three block groups.
      case "descriptors": try files.overwrite([0xFF], of: "disk", at: 4096 + 2 * 64 + 12)
      case "backup": try files.overwrite([0xFF], of: "disk", at: 32768 * 4096 + 0x68)
      case "directory":
        let block = try files.run("debugfs -R 'bmap <2> 0' disk 2>/dev/null").trimmed
        try files.overwrite([0xFF], of: "disk", at: try #require(Int(block)) * 4096 + 40)
      default:
        try files.run("truncate -s \(size - (64 << 20)) disk; mkfs.ext4 -q -F disk")
        try files.run("truncate -s \(size) disk")
        try addLabel(3)
      }
      let sentence = refusal { _ = try find() }
      #expect(sentence.contains("zfs_member"), "\(damage): \(sentence)")
      #expect(sentence.contains("--format ext4"), "\(damage): \(sentence)")
    }
  }

  @Test func withoutChecksumsNothingTellsOldFromNew() throws {
    try make("-O ^metadata_csum")
    try addLabel(3)
    try expectDoubt("zfs_member")
  }

  @Test func firstSectorOfAnOldXFS() throws {
    try files.run("truncate -s \(size) old; mkfs.xfs -q old")
    try make()
    try files.run("dd if=old of=disk bs=512 count=1 conv=notrunc status=none")
    #expect(try find().content?.kind == "ext")
    // With the header of its free space as well, nothing says that it is old.
    try files.run("dd if=old of=disk bs=512 count=2 conv=notrunc status=none")
    try expectDoubt("xfs")
  }

  @Test func severalThatNobodyReadsHere() throws {
    try files.run("truncate -s \(size) disk; mkfs.xfs -q disk")
    try addLabel(3)
    let sentence = refusal { _ = try find() }
    #expect(sentence.contains("signatures of"))
    #expect(sentence.contains("zfs_member") && sentence.contains("xfs"), "\(sentence)")
    #expect(sentence.contains("mount the one that is in use"))
    #expect(refusal { _ = try find(.ext) }.contains("holds no ext2, ext3 or ext4"))
  }

  /// The kernel has one of them mounted, so that is the one.
  @Test(
    .tags(.needsRoot, .needsLoopDevices),
    .enabled(if: ImageTools.suffice("losetup mount", root: true)))
  func kernelsChoice() throws {
    try make("-O ^metadata_csum")
    try addLabel(0)
    let device = try files.run("losetup -f --show disk").trimmed
    let mountpoint = files.path("mnt")
    defer {
      _ = try? shell(
        "umount \(mountpoint) || true; losetup -d \(device)",
        ignoringFailure: true)
    }
    let place = StackPlace(
      start: .path(device), selectors: [], physicalVolumes: [], assumesFrozen: false)
    #expect(refusal { _ = try StackFinder(place).find() }.contains("has signatures of"))
    try files.run("mkdir mnt; mount -t ext4 -o ro,noload \(device) mnt")
    #expect(try StackFinder(place).find().content?.kind == "ext")
  }
}
