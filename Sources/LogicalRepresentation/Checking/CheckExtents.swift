import FrozenImage

extension Representation {
  func checkExtents(
    of file: NodeRecord, at index: UInt64, root: Root, coverage: MapCoverage,
    cursor: inout CheckCursor
  ) throws(RepresentationError) {
    guard file.first == cursor.extent else {
      throw broken(index, "its extents do not follow those before")
    }
    let range = try extents.range(file.first, file.count, of: "node \(index)")
    cursor.extent = range.upperBound
    var previousEnd: UInt64 = 0
    for position in range {
      let found = try extent(at: position)
      func wrong(_ problem: String) -> RepresentationError {
        .damaged(place: "extent \(position) of node \(index)", problem: problem)
      }
      guard found.extent.offset >= previousEnd else { throw wrong("it overlaps the one before it") }
      guard found.extent.end <= Format.maximumFileEnd else { throw wrong("it ends too far out") }
      previousEnd = found.extent.end
      switch found.extent.source {
      case .stored(let address):
        guard coverage.covers(address, length: found.extent.length) else {
          throw wrong("store \(address.store.rawValue) does not map all of it")
        }
      case .inline(let heapOffset):
        guard let length = Int(exactly: found.extent.length) else { throw wrong("it is too long") }
        _ = try heapBytes(at: heapOffset, count: length)
      case .compressed(let run):
        guard try extents.record(at: position).source == cursor.compressedRun else {
          throw wrong("its compressed run does not follow those before")
        }
        cursor.compressedRun += 1
        guard coverage.covers(run.address, length: UInt64(run.storedLength)) else {
          throw wrong("store \(run.address.store.rawValue) does not map its compressed run")
        }
      case .unwritten, .encoded:
        break
      case .unreadable:
        // Or nobody would be told of it.
        guard try unreadableReason(of: NodeIndex(rawValue: index), .content) != nil else {
          throw wrong("it is unreadable and its node does not say why")
        }
        guard found.checksums == nil else { throw wrong("it is unreadable and has checksums") }
      }
      if let start = found.checksums {
        guard start == cursor.checksum else {
          throw wrong("its checksums do not follow those before")
        }
        cursor.checksum = try checksumEnd(of: found.extent, start: start, volume: root.volume) {
          wrong($0)
        }
      }
    }
  }

  /// Where the checksums of an extent end.
  private func checksumEnd(
    of extent: FileExtent, start: UInt64, volume: Int, wrong: (String) -> RepresentationError
  ) throws(RepresentationError) -> UInt64 {
    let volume = volumes[volume]
    guard let algorithm = volume.checksum, volume.checksumBlockSize > 0 else {
      throw wrong("it has checksums and its volume has none")
    }
    let block = UInt64(volume.checksumBlockSize)
    guard let blocks = extent.checksummedBlocks(of: block) else {
      throw wrong("it has checksums and is not made of whole blocks")
    }
    let bytes = try checksumBytes(
      at: start, skipping: 0, count: blocks, width: algorithm.width)
    return start + UInt64(bytes.count)
  }
}
