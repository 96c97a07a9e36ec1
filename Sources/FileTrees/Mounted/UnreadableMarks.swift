import FrozenImage
package import LogicalRepresentation
package import SystemPackage

/// What of an original could not be copied, kept with the copy: an extended attribute for
/// each part, whose value says why.
///
/// A copy outlives the process that made it, and is described from what lies on the media.
package struct UnreadableMarks {
  /// In a namespace that only root can write.
  private static let prefix = Array("trusted.floe.unreadable.".utf8).map {
    CChar(bitPattern: $0)
  }

  private var reasons: [UnreadablePart: String] = [:]

  /// - Parameter file: of a copy.
  package init(on file: FileDescriptor) {
    let list = ExtendedAttributeList(of: file)
    for part in UnreadablePart.allCases {
      guard let value = try? list.value(of: Self.name(of: part)) else { continue }
      reasons[part] = String(decoding: value, as: UTF8.self)
    }
  }

  /// Why a part of the original could not be copied; `nil` when it was.
  package subscript(part: UnreadablePart) -> String? { reasons[part] }

  /// Marks a part of a copy.
  package static func set(
    _ part: UnreadablePart, of file: FileDescriptor, reason: String
  ) throws(Errno) {
    // An attribute of XFS may be large; a reason need not.
    try ExtendedAttributeList(of: file).set(name(of: part), to: Array(reason.utf8.prefix(1000)))
  }

  /// Whether an extended attribute is a mark of floe's, this one or another.
  package static func isMark(_ name: [CChar]) -> Bool {
    name.starts(with: prefix) || name == OriginalMark.name
  }

  private static func name(of part: UnreadablePart) -> [CChar] {
    let word =
      switch part {
      case .node: "node"
      case .content: "content"
      case .extendedAttributes: "attributes"
      }
    return prefix + word.nameBytes
  }
}
