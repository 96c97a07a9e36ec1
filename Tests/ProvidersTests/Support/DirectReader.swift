import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import BtrfsProvider

/// Reads file bytes straight from the volume's image files, as extents and a store
/// map tell: the other side of the mapping, without any of the reader's code.
struct DirectReader {
  let map: StoreMap
  /// The image file of each medium, opened.
  private let media: [MediumID: Int32]

  init(_ volume: LoopVolume, map: StoreMap, media: [MediumDescription]) {
    self.map = map
    var files: [MediumID: Int32] = [:]
    for image in volume.images {
      let file = open(image, O_RDONLY | O_CLOEXEC)
      for medium in media where Self.matches(file, medium) { files[medium.id] = dup(file) }
      _ = Glibc.close(file)
    }
    self.media = files
  }

  func close() {
    for file in media.values { _ = Glibc.close(file) }
  }

  private static func matches(_ file: Int32, _ medium: MediumDescription) -> Bool {
    let identity = medium.identity.windows[0]
    var window = [UInt8](repeating: 0, count: identity.length)
    let count = pread(file, &window, window.count, off_t(identity.offset))
    guard count == window.count else { return false }
    return window.withUnsafeBytes { identity.extract(from: $0) } == medium.identityBytes
  }

  /// Every copy of a run of a store.
  func copies(of address: StoreAddress, length: UInt64) throws -> [[UInt8]] {
    var copies: [[UInt8]] = []
    for run in try map.resolve(address, length: length) {
      if copies.isEmpty { copies = [[UInt8]](repeating: [], count: run.copies.count) }
      for (index, place) in run.copies.enumerated() where index < copies.count {
        guard let file = media[place.medium] else {
          throw CommandError(description: "no image file is medium \(place.medium)")
        }
        var bytes = [UInt8](repeating: 0xEE, count: Int(run.length))
        guard pread(file, &bytes, bytes.count, off_t(place.offset)) == bytes.count else {
          throw CommandError(description: "short read of medium \(place.medium)")
        }
        copies[index] += bytes
      }
    }
    return copies
  }
}

/// What a file's extents consist of.
struct ExtentTally: Equatable {
  var stored = 0
  var unwritten = 0
  var inline = 0
  var encoded = 0
  var compressed = 0
  var checksummedBlocks = 0
  var mostCopies = 0
}

/// Compares every byte of every regular file with the snapshot, all copies of mirrors
/// too, and every checksum with the bytes. Encoded and compressed extents are read
/// through the source; of compressed ones the stored bytes are compared with their
/// checksums, on all copies.
@discardableResult
func expectAllBytes(
  of image: DescribedImage, on volume: LoopVolume,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> ExtentTally {
  let reader = DirectReader(volume, map: image.volume.map, media: image.volume.media)
  defer { reader.close() }
  var tally = ExtentTally()
  for file in try image.files() {
    let (path, node) = (file.text, file.node)
    let expected = try image.contents(of: file)
    var found = [UInt8](repeating: 0, count: expected.count)
    for extent in try image.representation.extents(of: node, in: 0..<UInt64(expected.count)) {
      let range = Int(extent.offset)..<Int(min(extent.end, UInt64(expected.count)))
      switch extent.source {
      case .unwritten: tally.unwritten += 1
      case .inline(let heapOffset):
        tally.inline += 1
        let bytes = try image.representation.heapBytes(at: heapOffset, count: range.count)
        found.replaceSubrange(range, with: bytes)
      case .encoded, .compressed, .unreadable:
        if case .compressed(let run) = extent.source {
          tally.compressed += 1
          let copies = try reader.copies(of: run.address, length: UInt64(run.storedLength))
          tally.mostCopies = max(tally.mostCopies, copies.count)
          for copy in copies {
            tally.checksummedBlocks += try expectChecksums(
              of: node, extent, run, copy, image, path, sourceLocation)
          }
        } else {
          tally.encoded += 1
        }
        let inode = try image.representation.attributes(of: node).inode
        let count = try found.withUnsafeMutableBytes {
          try image.source.read(
            inode: inode, offset: extent.offset,
            into: UnsafeMutableRawBufferPointer(rebasing: $0[range]))
        }
        #expect(count == range.count, "\(path)", sourceLocation: sourceLocation)
      case .stored(let address):
        tally.stored += 1
        let copies = try reader.copies(of: address, length: extent.length)
        tally.mostCopies = max(tally.mostCopies, copies.count)
        let wrong = copies.filter { !$0.starts(with: expected[range]) }
        #expect(wrong.isEmpty, "\(path) at \(extent.offset)", sourceLocation: sourceLocation)
        found.replaceSubrange(range, with: copies[0].prefix(range.count))
        tally.checksummedBlocks += try expectChecksums(
          of: node, extent, copies[0], image, path, sourceLocation)
      }
    }
    #expect(found == expected, "\(path)", sourceLocation: sourceLocation)
  }
  return tally
}

private func expectChecksums(
  of node: NodeIndex, _ extent: FileExtent, _ run: CompressedRun, _ stored: [UInt8],
  _ image: DescribedImage, _ path: String, _ sourceLocation: SourceLocation
) throws -> Int {
  let range = extent.offset..<extent.end
  let told = try image.representation.compressedChecksums(of: node, in: range)
  let checksums = try #require(told.first, "\(path) at \(extent.offset)")
  #expect(told.count == 1 && checksums.extent == extent, sourceLocation: sourceLocation)
  #expect(checksums.bytes.count == stored.count / checksums.blockSize * 4)
  for start in stride(from: 0, to: stored.count, by: checksums.blockSize) {
    let checksum = stored[start..<start + checksums.blockSize].withUnsafeBytes {
      CRC32C.checksum($0)
    }
    let expected: UInt32? = checksums.bytes.number(at: start / checksums.blockSize * 4)
    #expect(checksum == expected, "\(path) stored at \(start)", sourceLocation: sourceLocation)
  }
  return stored.count / checksums.blockSize
}

private func expectChecksums(
  of node: NodeIndex, _ extent: FileExtent, _ bytes: [UInt8], _ image: DescribedImage,
  _ path: String, _ sourceLocation: SourceLocation
) throws -> Int {
  var blocks = 0
  for run in try image.representation.checksums(of: node, in: extent.offset..<extent.end) {
    for block in 0..<(run.bytes.count / run.algorithm.width) {
      let start = Int(run.offset - extent.offset) + block * run.blockSize
      guard start >= 0, start + run.blockSize <= bytes.count else { continue }
      let checksum = bytes[start..<start + run.blockSize].withUnsafeBytes {
        CRC32C.checksum($0)
      }
      let stored: UInt32? = run.bytes.number(at: block * run.algorithm.width)
      #expect(checksum == stored, "\(path) block at \(start)", sourceLocation: sourceLocation)
      blocks += 1
    }
  }
  return blocks
}
