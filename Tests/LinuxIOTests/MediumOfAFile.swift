import FrozenImage
import Testing

/// A medium whose first 16 bytes are its identity, and the next 8 its witness.
func description(
  of file: RandomFile, size: UInt64 = 1 << 20, path: String = "", hardwareID: String = ""
) throws -> MediumDescription {
  let identity = try #require(
    Probe(offset: 0, length: 512, fragments: [.init(offset: 0, length: 16)]))
  let witness = try #require(
    Probe(offset: 0, length: 512, fragments: [.init(offset: 16, length: 8)]))
  return MediumDescription(
    id: MediumID(rawValue: try #require(UniqueIdentifier(bytes: file.bytes[..<16]))),
    label: "devid 7", size: size, path: path, hardwareID: hardwareID, identity: identity,
    identityBytes: Array(file.bytes[..<16]), witness: witness)
}
