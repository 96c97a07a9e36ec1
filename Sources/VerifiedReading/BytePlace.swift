public import FrozenImage
import HostSystem
public import ImageReader
import LogicalRepresentation

/// Where a byte of a file is right now: every link of the chain down to the media.
public struct BytePlace: Sendable {
  /// One step of the chain.
  public struct Link: Sendable {
    /// The store's label.
    public let store: String
    /// Bytes from the start of the store.
    public let offset: UInt64
  }

  /// A place on a medium that holds the byte.
  public struct Copy: Sendable {
    /// The medium as the image, or the last answer, describes it.
    public let medium: MediumDescription
    /// Where this host has the medium open; `nil` when it cannot be used.
    public let path: String?
    /// Bytes from the start of the medium.
    public let offset: UInt64
  }

  /// The data checksum of the block that holds the byte.
  public struct Checksum: Sendable {
    /// How it is computed.
    public let algorithm: ChecksumAlgorithm
    /// The checksum's bytes as the volume stores them.
    public let bytes: [UInt8]
    /// The block of the file that it covers.
    public let block: Range<UInt64>
  }

  /// The state under which the byte lies there.
  public let configurationID: ConfigurationID
  /// Where floe reads the byte from.
  public let source: ReadPlan.Source
  /// The stores from the top down; below a mirror, those of each copy in turn.
  public let links: [Link]
  /// Where the chain ends, one for each copy; empty for a byte that lies on no medium.
  public let copies: [Copy]
  /// `nil` where the representation has none of the byte's block.
  public let checksum: Checksum?
}

extension BlockingReader {
  /// Says where a byte of a file is right now.
  ///
  /// The byte's block is read first, so that the place is the one that was just
  /// validated.
  /// - Throws: `ReadError` when the block cannot be read; also when the place moved
  ///   on between the read and the look, several times in a row.
  public func place(
    ofByte offset: UInt64, in node: NodeIndex
  ) throws(ReadError) -> BytePlace? {
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    defer { block.deallocate() }
    for _ in 0..<10 {
      guard try read(node, at: offset, into: block) == 1 else { return nil }
      do throws(RepresentationError) {
        if let place = try lookUp(byte: offset, in: node) { return place }
      } catch {
        throw .unreadable("\(error)")
      }
    }
    throw .unreadable("its place keeps changing")
  }

  private func lookUp(
    byte offset: UInt64, in node: NodeIndex
  ) throws(RepresentationError) -> BytePlace? {
    let inode = try representation.sourceAttributes(of: node).inode
    let portion = Portion(inode: inode, range: offset..<offset + 1)
    let checksums = try representation.checksums(of: node, in: portion.range)
    let compressed = try representation.compressedChecksums(of: node, in: portion.range)
    let content = PortionContent(
      extents: try representation.extents(of: node, in: portion.range),
      checksummed: checksums.map(\.range), checksummedRuns: compressed.map(\.extent))
    let (plan, map, known, descriptions) = withRule { rule in
      (rule.place(of: portion, content: content), rule.map, rule.known, rule.media)
    }
    guard let plan, let piece = plan.pieces.first else { return nil }
    var links: [BytePlace.Link] = []
    var copies: [BytePlace.Copy] = []
    if let run = plan.stored.first {
      let top = StoreAddress(store: run.store, offset: run.range.lowerBound)
      follow(top, in: map, descriptions, links: &links, copies: &copies)
    }
    return BytePlace(
      configurationID: known.configurationID, source: piece.source, links: links, copies: copies,
      checksum: checksums.first.flatMap { $0.checksum(covering: offset) })
  }

  /// Walks down the chain; at a mirror every copy is followed.
  private func follow(
    _ address: StoreAddress, in map: StoreMap, _ descriptions: [MediumDescription],
    links: inout [BytePlace.Link], copies: inout [BytePlace.Copy]
  ) {
    switch map.stores[address.store] {
    case .logical(let label):
      links.append(BytePlace.Link(store: label, offset: address.offset))
      guard links.count <= StoreMap.maximumDepth * StoreMap.maximumCopies,
        let step = try? map.step(from: address, length: 1)
      else { return }
      for copy in step.copies {
        follow(copy, in: map, descriptions, links: &links, copies: &copies)
      }
    case .physical(let medium):
      guard let description = descriptions.first(where: { $0.id == medium }) else { return }
      copies.append(
        BytePlace.Copy(
          medium: description, path: media[medium]?.path, offset: address.offset))
    case nil:
      return
    }
  }
}

extension Representation.ChecksumRun {
  /// The checksum of the block that holds a byte of the file.
  fileprivate func checksum(covering byte: UInt64) -> BytePlace.Checksum? {
    guard range.contains(byte) else { return nil }
    let index = (byte - offset) / UInt64(blockSize)
    let start = Int(index) * algorithm.width
    let block = offset + index * UInt64(blockSize)
    return BytePlace.Checksum(
      algorithm: algorithm, bytes: Array(bytes[start..<start + algorithm.width]),
      block: block..<block + UInt64(blockSize))
  }
}
