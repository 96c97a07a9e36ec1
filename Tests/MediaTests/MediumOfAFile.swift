import FrozenImage
import Testing

/// Makes a file a swap space (mkswap(8)), whose UUID is the first 16 of its bytes, and
/// describes it: the UUID is its identity, and the 8 bytes at 16 are its witness. No format
/// that libblkid knows is simpler.
func description(
  of file: RandomFile, size: UInt64 = 1 << 20, path: String = "", hardwareID: String = ""
) throws -> MediumDescription {
  try file.becomeSwap(withIdentifier: Array(file.bytes[..<16]))
  let identity = try #require(
    Probe(offset: 0, length: 4096, fragments: [.init(offset: 1036, length: 16)]))
  let witness = try #require(
    Probe(offset: 0, length: 512, fragments: [.init(offset: 16, length: 8)]))
  return MediumDescription(
    id: MediumID(rawValue: try #require(UniqueIdentifier(bytes: file.bytes[..<16]))),
    label: "devid 7", size: size, path: path, hardwareID: hardwareID, identity: identity,
    identityBytes: Array(file.bytes[..<16]), witness: witness)
}

extension RandomFile {
  /// Writes the header of a swap space: `union swap_header` of linux/swap.h, and the magic
  /// at the end of its page.
  func becomeSwap(withIdentifier identifier: [UInt8]) throws {
    let one: [UInt8] = [1, 0, 0, 0]
    let none = [UInt8](repeating: 0, count: 4 + 16 + 117 * 4)
    // version, last page, bad pages; UUID; label and padding
    try write(one + one + none[..<4] + identifier + none[4...], at: 1024)
    try write(Array("SWAPSPACE2".utf8), at: 4096 - 10)
  }

  /// Makes it show the identity and the witness of another one.
  func becomeClone(of other: RandomFile) throws {
    try becomeSwap(withIdentifier: Array(other.bytes[..<16]))
    try write(Array(other.bytes[16..<24]), at: 16)
  }

  /// Takes the identity away.
  func loseIdentity() throws { try write([UInt8](repeating: 0, count: 16), at: 1036) }
}
