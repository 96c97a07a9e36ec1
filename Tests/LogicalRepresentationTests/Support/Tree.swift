import FrozenImage
import LogicalRepresentation
import SeededNumbers
import Testing

/// Everything that a representation tells of a node, in a form that can be compared.
struct TreeNode: Equatable {
  var attributes: NodeAttributes
  /// The parent's inode number; of a directory.
  var parent: UInt64?
  /// In ascending order of name.
  var children: [Child] = []
  /// Inline ones with 0 for their place in the heap.
  var extents: [FileExtent] = []
  /// The bytes of the inline extents, in order.
  var inline: [[UInt8]] = []
  /// By the offset of their block.
  var checksums: [UInt64: [UInt8]] = [:]
  /// Those of the stored bytes of compressed runs, by the offset of their extent.
  var runChecksums: [UInt64: [UInt8]] = [:]
  var extendedAttributes: [[UInt8]: [UInt8]] = [:]
  var target: [UInt8]?

  struct Child: Equatable {
    var name: [UInt8]
    var type: FileType
    var inode: UInt64
    /// The attributes of what stands for a nested tree.
    var placeholder: NodeAttributes?
  }
}

extension Representation {
  /// All nodes of the first tree, in the order of their records.
  func wholeTree() throws -> [TreeNode] {
    var tree: [TreeNode] = []
    for index in 0..<nodeCount {
      let node = NodeIndex(rawValue: index)
      let attributes = try attributes(of: node)
      // A placeholder is seen where its directory's entries are.
      if try self.node(withInode: attributes.inode, inRoot: 0) == node {
        tree.append(try treeNode(node, attributes))
      }
    }
    return tree
  }

  private func treeNode(_ node: NodeIndex, _ attributes: NodeAttributes) throws -> TreeNode {
    var result = TreeNode(attributes: attributes)
    for attribute in try extendedAttributes(of: node) {
      result.extendedAttributes[Array(attribute.name)] = Array(attribute.value)
    }
    switch attributes.type {
    case .directory:
      result.parent = try self.attributes(of: parent(of: node)).inode
      while let child = try child(at: UInt64(result.children.count), of: node) {
        result.children.append(child)
      }
    case .regular:
      for extent in try extents(of: node, in: 0 ..< .max) {
        result.add(extent)
        if case .inline(let offset) = extent.source {
          result.inline.append(Array(try heapBytes(at: offset, count: Int(extent.length))))
        }
      }
      for run in try checksums(of: node, in: 0 ..< .max) {
        let width = run.algorithm.width
        for block in 0..<run.bytes.count / width {
          result.checksums[run.offset + UInt64(block * run.blockSize)] = Array(
            run.bytes[block * width..<(block + 1) * width])
        }
      }
      for run in try compressedChecksums(of: node, in: 0 ..< .max) {
        result.runChecksums[run.extent.offset] = Array(run.bytes)
      }
    case .symbolicLink:
      result.target = Array(try symbolicLinkTarget(of: node))
    default: break
    }
    return result
  }

  private func child(at position: UInt64, of directory: NodeIndex) throws -> TreeNode.Child? {
    guard let entry = try entry(at: position, of: directory) else { return nil }
    let attributes = try attributes(of: entry.node)
    let isPlaceholder = try node(withInode: attributes.inode, inRoot: 0) != entry.node
    return TreeNode.Child(
      name: Array(entry.name), type: entry.type, inode: attributes.inode,
      placeholder: isPlaceholder ? attributes : nil)
  }
}

extension TreeNode {
  mutating func add(_ extent: FileExtent) {
    if case .inline = extent.source {
      extents.append(
        FileExtent(
          offset: extent.offset, length: extent.length, source: .inline(heapOffset: 0)))
    } else {
      extents.append(extent)
    }
  }

  /// Gives the node to a writer; children and extended attributes in a shuffled order.
  func write(
    to writer: inout RepresentationWriter, using generator: inout SeededGenerator
  ) throws {
    try writer.beginNode(attributes)
    for (name, value) in extendedAttributes.shuffled(using: &generator) {
      try name.lend { name in
        try value.lend { try writer.addExtendedAttribute(name: name, value: $0) }
      }
    }
    for child in children.shuffled(using: &generator) {
      try child.name.lend { name in
        if let placeholder = child.placeholder {
          try writer.addEmptyDirectory(name: name, attributes: placeholder)
        } else {
          try writer.addEntry(name: name, inode: child.inode, type: child.type)
        }
      }
    }
    try target?.lend { try writer.setSymbolicLinkTarget($0) }
    var inline = inline[...]
    for extent in extents {
      if case .inline = extent.source, let bytes = inline.popFirst() {
        try bytes.lend {
          try writer.addInline(offset: extent.offset, length: extent.length, bytes: $0)
        }
      } else if let bytes = runChecksums[extent.offset] {
        try bytes.lend { try writer.addExtent(extent, checksums: $0) }
      } else if checksums[extent.offset] != nil {
        let offsets = stride(from: extent.offset, to: extent.end, by: Int(Sample.block))
        let bytes = offsets.flatMap { checksums[$0] ?? [] }
        try bytes.lend { try writer.addExtent(extent, checksums: $0) }
      } else {
        try writer.addExtent(extent, checksums: nil)
      }
    }
    try writer.endNode()
  }
}

/// Writes a tree and gives the representation's bytes.
func represent(_ tree: [TreeNode], top: UInt64, seed: UInt64 = 0) throws -> [UInt8] {
  var generator = SeededGenerator(seed: seed)
  let scratch = ArrayScratch()
  var writer = try RepresentationWriter(
    image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
  for node in tree { try node.write(to: &writer, using: &generator) }
  try writer.finish(rootInode: top, rootName: "data")
  return scratch.isCommitted ? scratch.result : []
}
