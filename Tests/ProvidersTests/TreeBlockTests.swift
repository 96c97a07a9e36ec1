import Testing

@testable import BtrfsProvider

/// Tree blocks are read from media that anybody may have written.
@Suite("btrfs tree blocks") struct TreeBlockTests {
  private let pointer = TreeBlock.Pointer(address: 1 << 30, generation: 7)

  /// A block with the header that the pointer wants, and any bytes behind it.
  private func block(
    level: UInt8, items: UInt32, using generator: inout some RandomNumberGenerator
  ) -> [UInt8] {
    var bytes = (0..<4096).map { _ in UInt8.random(in: 0...7, using: &generator) }
    func put(_ number: some FixedWidthInteger, at offset: Int) {
      withUnsafeBytes(of: number.littleEndian) {
        bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
      }
    }
    put(pointer.address, at: 48)
    put(pointer.generation, at: 80)
    put(items, at: 96)
    put(level, at: 100)
    return bytes
  }

  @Test func anyBytesAreTaken() {
    var generator = SystemRandomNumberGenerator()
    for round in 0..<2000 {
      let items = [0, 1, 3, 100, 4000, UInt32.max][round % 6]
      let bytes = block(level: UInt8(round % 3), items: items, using: &generator)
      guard let block = TreeBlock(bytes, at: pointer) else { continue }
      let key = TreeKey(
        object: .random(in: 0...(.max)), type: .random(in: 0...7), offset: .random(in: 0...(.max)))
      if let child = block.child(holding: key) { #expect(child.next.map { $0 > key } ?? true) }
      _ = block.payload(of: key)
    }
  }

  @Test func anotherBlockIsNotTaken() {
    var generator = SystemRandomNumberGenerator()
    let bytes = block(level: 0, items: 0, using: &generator)
    #expect(TreeBlock(bytes, at: pointer) != nil)
    #expect(TreeBlock(bytes, at: .init(address: 1 << 30, generation: 6)) == nil)
    #expect(TreeBlock(bytes, at: .init(address: 1 << 29, generation: 7)) == nil)
    #expect(TreeBlock([], at: pointer) == nil)
  }
}
