import CChecksum

/// CRC-32C (Castagnoli), as iSCSI (RFC 3720, appendix B.4) and btrfs compute it:
/// reflected, all ones to begin with, inverted at the end.
public enum CRC32C {
  /// The checksum of bytes.
  ///
  /// - Parameter continuing: the checksum of the bytes before these, when they are
  ///   a part of a longer run.
  public static func checksum(_ bytes: UnsafeRawBufferPointer, continuing: UInt32 = 0) -> UInt32 {
    hasHardware ? hardware(bytes, ~continuing) : tables(bytes, ~continuing)
  }

  /// The checksum of an array of bytes.
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0) }
  }

  static let hasHardware = floe_crc32c_hardware_available()

  static func hardware(_ bytes: UnsafeRawBufferPointer, _ state: UInt32) -> UInt32 {
    ~floe_crc32c_hardware(state, bytes.baseAddress, bytes.count)
  }

  /// Eight bytes at a step (M. E. Kounavis and F. L. Berry, "A Systematic Approach to
  /// Building High Performance, Software-Based, CRC Generators", 2005).
  static func tables(_ bytes: UnsafeRawBufferPointer, _ state: UInt32) -> UInt32 {
    remainders.withUnsafeBufferPointer { table in
      var state = state
      var position = 0
      while position &+ 8 <= bytes.count {
        let word = UInt64(
          littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        var rest = word ^ UInt64(state)
        state = 0
        for slice in stride(from: 7 * 256, through: 0, by: -256) {
          state ^= table[slice + Int(rest & 0xFF)]
          rest >>= 8
        }
        position &+= 8
      }
      while position < bytes.count {
        state = state >> 8 ^ table[Int(UInt8(truncatingIfNeeded: state) ^ bytes[position])]
        position &+= 1
      }
      return ~state
    }
  }

  /// At `slice * 256 + byte`: the remainder of the byte followed by `slice` zero bytes.
  private static let remainders: [UInt32] = {
    // The polynomial 0x1EDC6F41, reflected.
    let polynomial: UInt32 = 0x82F6_3B78
    var table: [UInt32] = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { value, _ in value >> 1 ^ (value & 1) &* polynomial }
    }
    for index in 256..<8 * 256 {
      let before = table[index - 256]
      table.append(before >> 8 ^ table[Int(before & 0xFF)])
    }
    return table
  }()
}
