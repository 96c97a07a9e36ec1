/// Identifies one state of a volume's mapping: the raw witness bytes of every
/// medium, in the order of the media's identifiers.
///
/// It is not a hash, so that the provider that knows the format can read its own
/// generation back out of it, also after a restart. Only equality has a meaning
/// for anybody else.
public struct ConfigurationID: Hashable, Sendable {
  /// The witness of one medium.
  public struct Entry: Hashable, Sendable {
    /// Whose witness it is.
    public let medium: MediumID
    /// What counts of the medium's witness probe.
    public let bytes: [UInt8]

    public init(medium: MediumID, bytes: [UInt8]) {
      self.medium = medium
      self.bytes = bytes
    }
  }

  /// In ascending order of the media's identifiers, one for each medium.
  public let entries: [Entry]

  /// The entries may come in any order, at most one for each medium.
  public init(entries: some Sequence<Entry>) {
    self.entries = entries.sorted { $0.medium < $1.medium }
  }

  /// The witness bytes of a medium, or `nil` when the volume does not have it.
  public subscript(medium: MediumID) -> [UInt8]? {
    entries.first { $0.medium == medium }?.bytes
  }

  /// The serialised form: for each entry the medium's 16 bytes, the count of
  /// witness bytes (16 bits, little-endian), the witness bytes.
  public var bytes: [UInt8] {
    entries.flatMap { entry in
      entry.medium.rawValue.bytes
        + [UInt8(entry.bytes.count & 0xFF), UInt8(entry.bytes.count >> 8 & 0xFF)] + entry.bytes
    }
  }

  /// Reads the serialised form; `nil` when it is torn, or its media are not in
  /// ascending order.
  public init?(bytes: [UInt8]) {
    var entries: [Entry] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      guard rest.count >= 18, let id = UniqueIdentifier(bytes: rest.prefix(16)) else { return nil }
      let medium = MediumID(rawValue: id)
      let count = Int(rest[rest.startIndex + 16]) | Int(rest[rest.startIndex + 17]) << 8
      rest = rest.dropFirst(18)
      guard rest.count >= count else { return nil }
      if let last = entries.last, last.medium >= medium { return nil }
      entries.append(Entry(medium: medium, bytes: Array(rest.prefix(count))))
      rest = rest.dropFirst(count)
    }
    self.entries = entries
  }
}

extension ConfigurationID: CustomStringConvertible {
  /// The witness bytes in hexadecimal, media separated by dots.
  public var description: String {
    entries.map(\.bytes.hexadecimal).joined(separator: ".")
  }
}
