import FrozenImage
import LogicalRepresentation

extension RepresentationWriter {
  /// Adds an extended attribute to the open node.
  ///
  /// - Throws: as `addExtendedAttribute(name:value:)`.
  package mutating func add(_ name: [UInt8], _ value: [UInt8]) throws {
    try name.withUnsafeBytes { name in
      try value.withUnsafeBytes { try addExtendedAttribute(name: name, value: $0) }
    }
  }
}
