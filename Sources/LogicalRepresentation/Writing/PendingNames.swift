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

  /// Hands out the names in ascending order and forgets them. Of a name that is there
  /// twice, the one that was added first is handed out; `duplicate` is called with the
  /// other ones.
  ///
  /// - Returns: the count of names that were handed out.
  /// - Throws: what the closures throw.
  mutating func drain(
    duplicate: (UnsafeRawBufferPointer) throws -> Void,
    _ body: (UnsafeRawBufferPointer, Payload) throws -> Void
  ) throws -> Int {
    var count = 0
    var sorted = items
    items.removeAll(keepingCapacity: true)
    try bytes.withUnsafeBytes { bytes in
      func name(_ item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[item.start..<item.start + item.count])
      }
      sorted.sort {
        let order = NameBytes.order(name($0), name($1))
        return order < 0 || order == 0 && $0.start < $1.start
      }
      var previous: UnsafeRawBufferPointer?
      for item in sorted {
        let name = name(item)
        if let previous, NameBytes.order(previous, name) == 0 {
          try duplicate(name)
          continue
        }
        previous = name
        try body(name, item.payload)
        count += 1
      }
    }
    bytes.removeAll(keepingCapacity: true)
    return count
  }
}
