import FrozenImage
package import LogicalRepresentation

/// A part of an image's entries for each of several hosts, which share the work on it: together
/// they are all entries, no two have one in common, and each has about as many bytes.
///
/// Every host computes the same from the same representation. All names of a file are in one
/// part. Files that are large for a part go, the largest first, to the part that has least; the
/// others fill the parts one after the other, so that neighbours stay together.
package struct Shards {
  /// One of several parts: "2/8".
  package struct Choice: Hashable, Sendable {
    /// 0 for the first.
    package let index: Int
    /// 1 through 65,536.
    package let count: Int

    /// - Returns: `nil` unless it is K/N with 1 ≤ K ≤ N ≤ 65,536.
    package init?(_ text: String) {
      let words = text.split(separator: "/", omittingEmptySubsequences: false)
      guard words.count == 2, let number = Int(words[0]), let count = Int(words[1]),
        (1...65_536).contains(count), (1...count).contains(number)
      else { return nil }
      index = number - 1
      self.count = count
    }
  }

  /// What an entry costs besides its bytes.
  private static let entryWeight: UInt64 = 4096
  /// A file is large that has more than this part of a shard.
  private static let largePart: UInt64 = 64

  private let representation: Representation
  private let choice: Choice
  /// What a shard is to have: bytes, and the weight of entries.
  private var share: UInt64 = 0
  /// Of each shard, as far as the walk has come.
  private var loads: [UInt64]
  /// The shard of a file that is large, or that has several names.
  private var known: [NodeIndex: Int] = [:]
  /// The shard that is being filled.
  private var current = 0

  /// - Parameter walk: hands out all entries that are shared, in the order in which they are
  ///   asked about later.
  package init(
    of representation: Representation, _ choice: Choice,
    walk: ((TreeWalk.Entry) -> Void) throws -> Void
  ) rethrows {
    self.representation = representation
    self.choice = choice
    loads = Array(repeating: 0, count: choice.count)
    try assignLargeFiles(walk)
  }

  private mutating func assignLargeFiles(
    _ walk: ((TreeWalk.Entry) -> Void) throws -> Void
  ) rethrows {
    let count = UInt64(choice.count)
    var total: UInt64 = 0
    var seen: Set<NodeIndex> = []
    try walk { entry in
      guard let weight = weight(of: entry, seen: &seen) else { return }
      total = total.addingReportingOverflow(weight).partialValue
    }
    share = total / count
    var large: [(weight: UInt64, node: NodeIndex)] = []
    seen = []
    try walk { entry in
      guard let weight = weight(of: entry, seen: &seen), weight > share / Self.largePart + 1,
        entry.type == .regular
      else { return }
      large.append((weight, entry.node))
    }
    large.sort { ($0.weight, $1.node) > ($1.weight, $0.node) }
    for file in large {
      let least = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
      known[file.node] = least
      add(file.weight, to: least)
    }
  }

  /// Whether the next entry of the walk is in the chosen part.
  package mutating func takes(_ entry: TreeWalk.Entry) -> Bool {
    if let shard = known[entry.node] { return shard == choice.index }
    while current < choice.count - 1, loads[current] >= share { current += 1 }
    let attributes = try? representation.attributes(of: entry.node)
    add(Self.weight(of: attributes), to: current)
    if let attributes, attributes.links > 1, entry.type != .directory {
      known[entry.node] = current
    }
    return current == choice.index
  }

  private mutating func add(_ weight: UInt64, to shard: Int) {
    loads[shard] = loads[shard].addingReportingOverflow(weight).partialValue
  }

  /// - Returns: `nil` for a further name of a file.
  private func weight(of entry: TreeWalk.Entry, seen: inout Set<NodeIndex>) -> UInt64? {
    let attributes = try? representation.attributes(of: entry.node)
    if let attributes, attributes.links > 1, entry.type != .directory {
      guard seen.insert(entry.node).inserted else { return nil }
    }
    return Self.weight(of: attributes)
  }

  /// Holes cost nothing; what a file has beyond its size is not read.
  private static func weight(of attributes: NodeAttributes?) -> UInt64 {
    guard let attributes, attributes.type == .regular else { return entryWeight }
    let stored = attributes.blocks.multipliedReportingOverflow(by: 512)
    let bytes = stored.overflow ? attributes.size : min(attributes.size, stored.partialValue)
    return bytes.addingReportingOverflow(entryWeight).partialValue
  }
}
