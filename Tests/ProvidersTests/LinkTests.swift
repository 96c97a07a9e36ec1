import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import BtrfsProvider

/// Symbolic links as other programs than the kernel store them: with a NUL at the end.
extension BtrfsTests.TreeTests {
  private static let links = """
    echo file > file; ln -s target link; ln -s a b
    ln -s "$(head -c 59 /dev/zero | tr '\\0' x)" fast; ln -s "$(head -c 61 /dev/zero | tr '\\0' y)" slow
    ln -s "$(head -c 1500 /dev/zero | tr '\\0' z)" long
    """

  private func expectLinks(of volume: LoopVolume, keptWithNUL: Int) throws {
    // Else this case looks at nothing.
    let kept = try shell(
      """
      btrfs inspect-internal dump-tree -t 5 \(volume.devices[0]) |
        grep -c 'inline extent data size 7 ram_bytes 7'
      """, ignoringFailure: true)
    #expect(Int(kept.trimmed) == keptWithNUL)
    let image = try DescribedImage(volume.mount)
    let nodes = try compare(
      image, node: image.representation.roots[0].node, path: Array(image.frozen.snapshotPath.utf8)
    )
    #expect(nodes >= 7)
    try expectAllBytes(of: image, on: volume)
  }

  @Test func linksThatMkfsMade() throws {
    let tree = try shell("mktemp -d /tmp/floe-links-XXXXXX").trimmed
    defer { _ = try? shell("rm -rf \(tree)") }
    try shell("cd \(tree)\n" + Self.links)
    try expectLinks(of: try LoopVolume(format: "--rootdir \(tree)"), keptWithNUL: 1)
  }

  @Test func linksThatConvertMade() throws {
    let volume = try LoopVolume()
    try shell(
      """
      umount \(volume.mount); mkfs.ext4 -q -F \(volume.devices[0])
      mount \(volume.devices[0]) \(volume.mount); cd \(volume.mount)
      \(Self.links)
      cd /; umount \(volume.mount); btrfs-convert \(volume.devices[0]) >/dev/null
      mount -t btrfs \(volume.devices[0]) \(volume.mount)
      """)
    try expectLinks(of: volume, keptWithNUL: 1)
  }
}
