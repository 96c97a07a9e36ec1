@testable import BlockMappers
@testable import VolumeLayers

/// Superblocks as Linux 6.1 wrote them for mdadm 4.2, on partitions of 10 MiB: what is not zero
/// of them, by its place.
enum RecordedSuperblock: CaseIterable {
  /// A raid1 over two members: the one that failed, which nobody told.
  case failed
  /// The other one of the same array.
  case remaining
  /// The second of three members of a raid10.
  case raid10
  /// The third of four members of a raid5.
  case raid5

  static let size = 10 << 20

  private var offset: Int {
    switch self {
    case .failed: 10477568
    case .remaining: 10477568
    case .raid10: 4096
    case .raid5: 10420224
    }
  }

  private var spans: [(offset: Int, hexadecimal: String)] {
    switch self {
    case .failed:
      [
        (
          0,
          "fc4e2ba901000000"
        ),
        (
          16,
          "3a3ecd6f6bab6c2a3cf170a71979752e286e6f6e65293a743200000000000000"
        ),
        (
          64,
          "99f7086b000000000100000000000000804f0000000000000000000002000000"
        ),
        (
          136,
          "e04f000000000000f04f000000000000"
        ),
        (
          168,
          "29ea32a6ae0624044c4a388f02ece88f00000800f8ffffffbff7086b0000000011000000"
            + "00000000ffffffffffffffff1541899b80000000"
        ),
        (
          256,
          "00000100ffffffff"
        ),
      ]
    case .remaining:
      [
        (
          0,
          "fc4e2ba901000000"
        ),
        (
          16,
          "3a3ecd6f6bab6c2a3cf170a71979752e286e6f6e65293a743200000000000000"
        ),
        (
          64,
          "99f7086b000000000100000000000000804f0000000000000000000002000000"
        ),
        (
          136,
          "e04f000000000000f04f000000000000"
        ),
        (
          160,
          "0100000000000000ab4ac905e9e629e38cdebd9965b9c3d500000800f8ffffffcaf7086b"
            + "000000001500000000000000ffffffffffffffff84e3862a80000000"
        ),
        (
          256,
          "feff0100ffffffff"
        ),
      ]
    case .raid10:
      [
        (
          0,
          "fc4e2ba901000000"
        ),
        (
          16,
          "c146b7225c8b17b625fbdb6a3f944675286e6f6e65293a743800000000000000"
        ),
        (
          64,
          "9cf7086b000000000a0000000201000000480000000000002000000003000000"
        ),
        (
          128,
          "000800000000000000480000000000000800000000000000"
        ),
        (
          160,
          "01000000000000001b5a2fcd0b05ae81b6fd1152ac6b753c0000080010000000c6f7086b"
            + "000000001100000000000000ffffffffffffffff0e9a45f880000000"
        ),
        (
          256,
          "000001000200ffff"
        ),
      ]
    case .raid5:
      [
        (
          0,
          "fc4e2ba9000000005a0000000000000000000000d904cc79a0f7086b05000000c0270000"
            + "04000000040000000c00000000000000b778e4c13c6b183d348f9553"
        ),
        (
          128,
          "b1f7086b010000000400000004000000"
        ),
        (
          152,
          "91249c4b12000000000000001200000000000000ffffffff"
        ),
        (
          256,
          "0100000000400000"
        ),
        (
          512,
          "00000000fe0000000c000000000000000600000000000000"
        ),
        (
          640,
          "01000000fe0000001c000000010000000600000000000000"
        ),
        (
          768,
          "02000000fe0000002c000000020000000600000000000000"
        ),
        (
          896,
          "03000000fe0000003c000000030000000600000000000000"
        ),
        (
          3968,
          "02000000fe0000002c000000020000000600000000000000"
        ),
      ]
    }
  }

  /// A member with the superblock, and nothing else.
  var layer: Layer {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    for span in spans {
      let text = Array(span.hexadecimal.utf8)
      for index in stride(from: 0, to: text.count, by: 2) {
        bytes[offset + span.offset + index / 2] =
          UInt8(String(decoding: text[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
      }
    }
    // Places that version 1 gives to nobody.
    if self != .raid5 { for index in 264..<512 { bytes[offset + index] = 0xFF } }
    return Layer(MemoryMedium(path: "recorded \(self)", bytes: bytes))
  }
}
