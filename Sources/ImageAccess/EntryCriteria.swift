import CLinuxIO
package import FrozenImage

/// What entries have to be like, as find(1) asks it.
package struct EntryCriteria: Sendable {
  /// Patterns (fnmatch(3)) of the path from the top down, in which wildcards mean slashes too.
  package var paths: [String] = []
  /// Patterns of the last name.
  package var names: [String] = []
  /// One of these types; any where there is none.
  package var types: Set<FileType> = []
  /// The content changed after this time.
  package var newerThan: Timestamp?
  /// All of them have to hold; then a regular file is meant.
  package var sizes: [SizeTest] = []

  /// A size in bytes.
  package struct SizeTest: Hashable, Sendable {
    /// How the size has to compare.
    package enum Order: Sendable { case less, equal, more }
    /// How a file's size compares with `bytes`.
    package let order: Order
    /// 0 through 2^63 - 1.
    package let bytes: UInt64

    package init(_ order: Order, _ bytes: UInt64) {
      self.order = order
      self.bytes = bytes
    }

    fileprivate func holds(for size: UInt64) -> Bool {
      switch order {
      case .less: size < bytes
      case .equal: size == bytes
      case .more: size > bytes
      }
    }
  }

  package init() {}

  /// - Parameter attributes: `nil` when they could not be read: then only names and the type tell.
  package func hold(
    path: [UInt8], type: FileType, _ attributes: @autoclosure () -> NodeAttributes?
  ) -> Bool {
    guard types.isEmpty || types.contains(type) else { return false }
    let name = path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
    guard names.allSatisfy({ Self.matches($0, name) }),
      paths.allSatisfy({ Self.matches($0, path) })
    else { return false }
    guard newerThan != nil || !sizes.isEmpty else { return true }
    guard let attributes = attributes() else { return false }
    if let newerThan {
      let time = attributes.modified
      guard (time.seconds, time.nanoseconds) > (newerThan.seconds, newerThan.nanoseconds) else {
        return false
      }
    }
    return sizes.isEmpty
      || type == .regular && sizes.allSatisfy { $0.holds(for: attributes.size) }
  }

  private static func matches(_ pattern: String, _ bytes: [UInt8]) -> Bool {
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    return PathText.withCString(pattern) { floe_text_matches($0, text) != 0 }
  }
}
