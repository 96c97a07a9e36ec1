/// The names of one node (entries or extended attributes) until it is complete and
/// they can be sorted.
struct PendingNames<Payload> {
  private struct Item {
    let start: Int
    let count: Int
    let payload: Payload
  }

  private var bytes: [UInt8] = []
  private var items: [Item] = []

  var isEmpty: Bool { items.isEmpty }
  var count: Int { items.count }

  mutating func add(_ name: UnsafeRawBufferPointer, _ payload: Payload) {
    items.append(Item(start: bytes.count, count: name.count, payload: payload))
    bytes.append(contentsOf: name)
  }

  /// Hands out the names in ascending order and forgets them.
  ///
  /// - Throws: what `body` throws; what `duplicate` makes of a name that is there twice.
  mutating func drain(
    duplicate: (UnsafeRawBufferPointer) -> any Error,
    _ body: (UnsafeRawBufferPointer, Payload) throws -> Void
  ) throws {
    var sorted = items
    items.removeAll(keepingCapacity: true)
    try bytes.withUnsafeBytes { bytes in
      func name(_ item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[item.start..<item.start + item.count])
      }
      sorted.sort { NameBytes.order(name($0), name($1)) < 0 }
      var previous: UnsafeRawBufferPointer?
      for item in sorted {
        let name = name(item)
        if let previous, NameBytes.order(previous, name) == 0 { throw duplicate(name) }
        previous = name
        try body(name, item.payload)
      }
    }
    bytes.removeAll(keepingCapacity: true)
  }
}
