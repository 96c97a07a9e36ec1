import FrozenImage
import SeededNumbers

/// A random tree with everything that a representation can hold.
struct RandomTree {
  private(set) var nodes: [TreeNode] = []
  /// The top directory's inode number.
  private(set) var top: UInt64 = 0

  private var generator: SeededGenerator

  init(count: Int, seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    var inode: UInt64 = 200
    for _ in 0..<max(1, count) {
      inode += UInt64.random(in: 1...(generator.chance(10) ? 1000 : 2), using: &generator)
      nodes.append(TreeNode(attributes: attributes(inode)))
    }
    // Any node may be the top one: the format does not ask for the first.
    let first = Int.random(in: nodes.indices, using: &generator)
    nodes[first].attributes.mode = UInt32(FileType.directory.rawValue) << 12 | 0o755
    top = nodes[first].attributes.inode
    nodes[first].parent = top
    hang(first: first)
    for index in nodes.indices { fill(index) }
  }

  /// Gives every node a place below the top, files sometimes several.
  private mutating func hang(first: Int) {
    var directories = [first]
    for index in nodes.indices.shuffled(using: &generator) where index != first {
      let type = nodes[index].attributes.type
      for _ in 0..<(type != .directory && generator.chance(10) ? 3 : 1) {
        let parent = directories.randomElement(using: &generator) ?? first
        nodes[parent].children.append(
          TreeNode.Child(
            name: unusedName(in: nodes[parent]), type: type,
            inode: nodes[index].attributes.inode, placeholder: nil))
        if type == .directory { nodes[index].parent = nodes[parent].attributes.inode }
      }
      if type == .directory { directories.append(index) }
    }
    for parent in directories where generator.chance(15) {
      var placeholder = attributes(2)
      placeholder.mode = UInt32(FileType.directory.rawValue) << 12 | 0o555
      nodes[parent].children.append(
        TreeNode.Child(
          name: unusedName(in: nodes[parent]), type: .directory, inode: 2,
          placeholder: placeholder))
    }
    for index in directories {
      nodes[index].children.sort { $0.name.lexicographicallyPrecedes($1.name) }
    }
  }

  private mutating func unusedName(in directory: TreeNode) -> [UInt8] {
    while true {
      let length = Int.random(in: 1...(generator.chance(5) ? 255 : 12), using: &generator)
      let name = generator.bytes(length).map { $0 == 0 || $0 == 0x2F ? 0x61 : $0 }
      if name != [0x2E], name != [0x2E, 0x2E],
        !directory.children.contains(where: { $0.name == name })
      {
        return name
      }
    }
  }

  private mutating func time() -> Timestamp {
    Timestamp(
      seconds: Int64.random(in: .min ... .max, using: &generator),
      nanoseconds: UInt32.random(in: 0..<1_000_000_000, using: &generator))
  }

  private mutating func attributes(_ inode: UInt64) -> NodeAttributes {
    let types: [FileType] = [
      .regular, .regular, .regular, .directory, .directory, .symbolicLink, .fifo, .socket,
      .blockDevice, .characterDevice,
    ]
    let type = types.randomElement(using: &generator) ?? .regular
    let isDevice = type == .blockDevice || type == .characterDevice
    return NodeAttributes(
      inode: inode, generation: generator.next(),
      mode: UInt32(type.rawValue) << 12 | UInt32.random(in: 0...0o7777, using: &generator),
      links: UInt32.random(in: 1 ... .max, using: &generator),
      owner: UInt32.random(in: 0 ... .max, using: &generator),
      group: UInt32.random(in: 0 ... .max, using: &generator),
      deviceMajor: isDevice ? UInt32.random(in: 0 ... .max, using: &generator) : 0,
      deviceMinor: isDevice ? UInt32.random(in: 0 ... .max, using: &generator) : 0,
      size: UInt64.random(in: 0...40 * Sample.block, using: &generator), blocks: generator.next(),
      accessed: time(), modified: time(), changed: time(),
      created: generator.chance(70) ? time() : nil, inodeFlags: generator.next())
  }

  private mutating func fill(_ index: Int) {
    for _ in 0..<(generator.chance(20) ? 4 : 0) {
      let name = generator.bytes(Int.random(in: 1...20, using: &generator)).map { $0 | 1 }
      nodes[index].extendedAttributes[name] = generator.bytes(
        Int.random(in: 0...100, using: &generator))
    }
    switch nodes[index].attributes.type {
    case .regular: fillFile(index)
    case .symbolicLink:
      nodes[index].target = generator.bytes(Int.random(in: 1...200, using: &generator)).map {
        $0 | 1
      }
    default: break
    }
  }

  private mutating func fillFile(_ index: Int) {
    var offset: UInt64 = 0
    if generator.chance(20) {
      let bytes = generator.bytes(Int.random(in: 1...300, using: &generator))
      nodes[index].add(
        FileExtent(offset: 0, length: UInt64(bytes.count), source: .inline(heapOffset: 0)))
      nodes[index].inline.append(bytes)
      offset = Sample.block
    }
    for _ in 0..<Int.random(in: 0...8, using: &generator) {
      if generator.chance(30) { offset += Sample.block * .random(in: 1...5, using: &generator) }
      let length = Sample.block * .random(in: 1...6, using: &generator)
      let place = UInt64.random(in: 0...Sample.storeSize - length, using: &generator)
      let sources: [FileExtent.Source] = [
        .stored(StoreAddress(store: StoreID(rawValue: 0), offset: place)),
        .stored(StoreAddress(store: StoreID(rawValue: 0), offset: place)), .unwritten, .encoded,
        compressed(holding: length),
      ]
      let source = sources.randomElement(using: &generator) ?? .unwritten
      nodes[index].add(FileExtent(offset: offset, length: length, source: source))
      if case .stored = source, generator.chance(70) {
        for block in stride(from: offset, to: offset + length, by: Int(Sample.block)) {
          nodes[index].checksums[block] = generator.bytes(4)
        }
      }
      if case .compressed(let run) = source, generator.chance(70) {
        nodes[index].runChecksums[offset] = generator.bytes(
          4 * Int(run.storedLength) / Int(Sample.block))
      }
      offset += length
    }
  }

  private mutating func compressed(holding length: UInt64) -> FileExtent.Source {
    let stored = Sample.block * .random(in: 1...4, using: &generator)
    let place = UInt64.random(in: 0...Sample.storeSize - stored, using: &generator)
    let offset = UInt64.random(in: 0...100_000, using: &generator)
    let run = CompressedRun(
      algorithm: CompressionAlgorithm.allCases.randomElement(using: &generator) ?? .zlib,
      address: StoreAddress(store: StoreID(rawValue: 0), offset: place), storedLength: stored,
      decodedLength: offset + length + .random(in: 0...5000, using: &generator), offset: offset)
    return run.map { .compressed($0) } ?? .unwritten
  }
}
