/// The checksum of LVM2's labels, metadata area headers and metadata texts: the
/// reflected CRC-32 of IEEE 802.3, with an initial value of its own and without the
/// inversion at the end (`calc_crc` and `INITIAL_CRC`, lvm2 lib/misc/crc.c, crc.h).
enum MetadataChecksum {
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      bytes.reduce(0xF597_A6CF) { state, byte in
        state >> 8 ^ table[Int(UInt8(truncatingIfNeeded: state) ^ byte)]
      }
    }
  }

  static func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
    Array(bytes).withUnsafeBytes { checksum($0) }
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value >> 1 ^ (value & 1) &* 0xEDB8_8320 }
  }
}
