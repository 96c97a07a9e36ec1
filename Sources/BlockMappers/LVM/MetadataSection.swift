import DataSets
import FrozenImage

/// A value of LVM2's metadata text.
enum MetadataValue: Hashable, Sendable {
  case string(String)
  case integer(Int64)
  case float(Double)
  /// Never holds arrays or sections.
  case array([MetadataValue])
  case section(MetadataSection)
}

/// A section of LVM2's metadata text: values by their keys.
///
/// Its accessors name the path of a value that is missing or of the wrong type.
struct MetadataSection: Hashable, Sendable {
  /// The keys that lead here, joined by slashes: "vg/logical_volumes/root". Empty for
  /// the whole text.
  let path: String
  /// In the order of the text, each once.
  private(set) var keys: [String] = []
  private var values: [String: MetadataValue] = [:]

  init(path: String) {
    self.path = path
  }

  /// - Returns: `false` when the key is there already.
  mutating func insert(_ value: MetadataValue, for key: String) -> Bool {
    guard values[key] == nil else { return false }
    keys.append(key)
    values[key] = value
    return true
  }

  func path(of key: String) -> String { path.isEmpty ? key : "\(path)/\(key)" }

  /// The subsections, in the order of the text.
  var sections: [(key: String, section: MetadataSection)] {
    keys.compactMap { key in
      if case .section(let section) = values[key] { (key, section) } else { nil }
    }
  }

  func has(_ key: String) -> Bool { values[key] != nil }

  /// - Throws: `StackError` when there is no such section.
  func section(_ key: String) throws(StackError) -> MetadataSection {
    guard case .section(let section) = try value(key) else {
      throw StackError(.malformed, "\(path(of: key)) is not a section")
    }
    return section
  }

  /// - Throws: `StackError` when there is no such string.
  func string(_ key: String) throws(StackError) -> String {
    guard case .string(let string) = try value(key) else {
      throw StackError(.malformed, "\(path(of: key)) is not a string")
    }
    return string
  }

  /// - Throws: `StackError` when there is no such number, or it is out of range.
  func integer(
    _ key: String, in range: ClosedRange<UInt64> = 0...UInt64(UInt32.max)
  ) throws(StackError) -> UInt64 {
    guard case .integer(let integer) = try value(key) else {
      throw StackError(.malformed, "\(path(of: key)) is not an integer")
    }
    guard let number = UInt64(exactly: integer), range.contains(number) else {
      throw StackError(.malformed, "\(path(of: key)) is \(integer), which is out of range")
    }
    return number
  }

  /// - Throws: `StackError` when there is no such identifier.
  func identifier(_ key: String) throws(StackError) -> VolumeIdentifier {
    guard let identifier = VolumeIdentifier(text: try string(key)) else {
      throw StackError(.malformed, "\(path(of: key)) is not an identifier")
    }
    return identifier
  }

  /// The elements of an array; a lone value stands for an array of it, as lvm2 has it
  /// (`dm_config_get_list`).
  ///
  /// - Throws: `StackError` when there is no such value, or it is a section.
  func array(_ key: String) throws(StackError) -> [MetadataValue] {
    switch try value(key) {
    case .array(let values): return values
    case .section: throw StackError(.malformed, "\(path(of: key)) is a section, not an array")
    case let value: return [value]
    }
  }

  /// - Throws: `StackError` when there is no such array, or an element is no string.
  func strings(_ key: String) throws(StackError) -> [String] {
    var strings: [String] = []
    for value in try array(key) {
      guard case .string(let string) = value else {
        throw StackError(.malformed, "\(path(of: key)) holds something else than strings")
      }
      strings.append(string)
    }
    return strings
  }

  private func value(_ key: String) throws(StackError) -> MetadataValue {
    guard let value = values[key] else {
      throw StackError(.malformed, "\(path(of: key)) is missing")
    }
    return value
  }
}
