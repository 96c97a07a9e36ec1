import FrozenImage

extension Representation {
  /// Checks the nodes of a tree, and with each what it owns.
  func checkNodes(
    of root: Root, coverage: MapCoverage, cursor: inout CheckCursor, reached: inout NodeSet
  ) throws(RepresentationError) {
    guard try record(of: root.node).attributes.type == .directory else {
      throw .damaged(place: "root \(root.name)", problem: "its top node is not a directory")
    }
    var previous: UInt64?
    for index in root.nodes.lowerBound..<root.placeholders.upperBound {
      let node = try nodes.record(at: index)
      if let problem = node.attributes.problem { throw broken(index, problem) }
      if index < root.placeholders.lowerBound {
        if let previous, node.attributes.inode <= previous {
          throw broken(index, "its inode \(node.attributes.inode) is not in ascending order")
        }
        previous = node.attributes.inode
      } else if node.attributes.type != .directory || node.count > 0 {
        throw broken(index, "it stands for a nested tree and is not an empty directory")
      }
      try checkPlace(of: node, at: index, root: root)
      switch node.attributes.type {
      case .directory:
        try checkEntries(of: node, at: index, root: root, cursor: &cursor, reached: &reached)
      case .regular:
        try checkExtents(of: node, at: index, root: root, coverage: coverage, cursor: &cursor)
      case .symbolicLink:
        try checkTarget(of: node, at: index)
      case .fifo, .socket, .characterDevice, .blockDevice:
        if node.first != 0 || node.count != 0 { throw broken(index, "it has content") }
      }
      try checkExtendedAttributes(of: node, at: index, cursor: &cursor)
    }
  }

  func broken(_ node: UInt64, _ problem: String) -> RepresentationError {
    .damaged(place: "node \(node)", problem: problem)
  }

  /// Parent and depth: only the top directory is its own parent at depth 0.
  private func checkPlace(
    of node: NodeRecord, at index: UInt64, root: Root
  ) throws(RepresentationError) {
    if node.attributes.type != .directory {
      guard node.parent == Format.none, node.depth == 0 else {
        throw broken(index, "it has a parent or a depth and is not a directory")
      }
    } else if index == root.node.rawValue {
      guard node.parent == index, node.depth == 0 else {
        throw broken(index, "it is the top directory and has another parent")
      }
    } else {
      guard root.nodes.contains(node.parent) else {
        throw broken(index, "its parent is no node of its tree")
      }
      guard node.depth > 0 else { throw broken(index, "it is as deep as the top directory") }
    }
  }

  private func checkEntries(
    of directory: NodeRecord, at index: UInt64, root: Root, cursor: inout CheckCursor,
    reached: inout NodeSet
  ) throws(RepresentationError) {
    guard directory.first == cursor.entry else {
      throw broken(index, "its entries do not follow those before")
    }
    let range = try entries.range(directory.first, directory.count, of: "node \(index)")
    cursor.entry = range.upperBound
    var previous: UnsafeRawBufferPointer?
    for position in range {
      let entry = try entry(at: position)
      func wrong(_ problem: String) -> RepresentationError {
        .damaged(place: "entry \(position) (\(entry.name.quoted))", problem: problem)
      }
      if let problem = NameBytes(bytes: entry.name).entryProblem { throw wrong(problem) }
      if let previous, NameBytes.order(previous, entry.name) >= 0 {
        throw wrong("its name is not in ascending order")
      }
      previous = entry.name
      let child = entry.node.rawValue
      guard child >= root.nodes.lowerBound, child < root.placeholders.upperBound else {
        throw wrong("it leads to a node of another tree")
      }
      let node = try nodes.record(at: child)
      guard FileType(mode: node.attributes.mode) == entry.type else {
        throw wrong("its type is not that of node \(child)")
      }
      guard entry.type == .directory else { continue }
      guard node.parent == index, directory.depth < .max, node.depth == directory.depth + 1 else {
        throw wrong("the directory that it leads to, node \(child), has another parent or depth")
      }
      guard reached.insert(child) else {
        throw wrong("it is the second entry for the directory \(child)")
      }
    }
  }

  private func checkTarget(
    of link: NodeRecord, at index: UInt64
  ) throws(RepresentationError) {
    if link.first == 0, link.count == 0,
      try unreadableReason(of: NodeIndex(rawValue: index), .content) != nil
    {
      return
    }
    guard (1...RepresentationLimits.linkTarget).contains(link.count) else {
      throw broken(index, "its target has \(link.count) bytes")
    }
    let target = try heapBytes(at: link.first, count: Int(link.count))
    if target.contains(0) { throw broken(index, "its target has a NUL in it") }
  }

  private func checkExtendedAttributes(
    of node: NodeRecord, at index: UInt64, cursor: inout CheckCursor
  ) throws(RepresentationError) {
    guard node.firstAttribute == cursor.attribute else {
      throw broken(index, "its extended attributes do not follow those before")
    }
    let range = try extendedAttributes.range(
      node.firstAttribute, UInt64(node.attributeCount), of: "node \(index)")
    cursor.attribute = range.upperBound
    var previous: UnsafeRawBufferPointer?
    for position in range {
      let attribute = try extendedAttribute(at: position)
      func wrong(_ problem: String) -> RepresentationError {
        .damaged(place: "extended attribute \(position) of node \(index)", problem: problem)
      }
      guard (1...NameBytes.maximumLength).contains(attribute.name.count),
        !attribute.name.contains(0)
      else { throw wrong("its name is empty, too long, or has a NUL in it") }
      guard attribute.value.count <= ExtendedAttributeRecord.maximumValueLength else {
        throw wrong("its value has \(attribute.value.count) bytes")
      }
      if let previous, NameBytes.order(previous, attribute.name) >= 0 {
        throw wrong("its name is not in ascending order")
      }
      previous = attribute.name
    }
  }
}
