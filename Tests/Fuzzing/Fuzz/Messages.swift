import FloeWire
import SwiftProtobuf

@testable import ImageService

/// An input is a byte that says of what kind the messages after it are: the list of images,
/// the chunks of a representation, the chunks of a portion, or requests for portions.
func fuzzMessages(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let messages = messages(in: input.dropFirst())
  switch kind & 3 {
  case 0:
    for bytes in messages {
      guard let wire = try? Floe_V1_ImageSummary(serializedBytes: bytes) else { continue }
      guard let summary = try? ImageSummary(wire: wire) else { continue }
      let texts = [summary.name, summary.provider, summary.source]
      require(texts.allSatisfy { $0.utf8.count <= WireLimit.textLength }, "texts are bounded")
    }
  case 1: fetch(messages)
  case 2: assemble(messages)
  default:
    for bytes in messages {
      guard let wire = try? Floe_V1_ReadPortionRequest(serializedBytes: bytes) else { continue }
      guard let portion = try? PortionRequest(wire: wire) else { continue }
      require((1...1 << 20).contains(portion.count), "a portion is bounded")
      require(portion.offset <= .max - UInt64(portion.count), "a portion ends in 64 bits")
    }
  }
}

/// Puts a representation's chunks where they are said to belong: without a gap, and never
/// beyond the length that the header told.
private func fetch(_ messages: [[UInt8]]) {
  var assembly = RepresentationAssembly()
  var received: UInt64 = 0
  for bytes in messages {
    guard let chunk = try? Floe_V1_RepresentationChunk(serializedBytes: bytes) else { continue }
    let position = assembly.length
    require(position == received, "what was refused does not count")
    guard (try? assembly.add(chunk)) != nil else { continue }
    received += UInt64(chunk.data.count)
    require(chunk.data.isEmpty || chunk.offset == position, "a chunk goes where it belongs")
    let whole = assembly.header?.length ?? 0
    require(received <= whole && whole <= Int64.max, "no chunk lies behind the end")
    require(assembly.isComplete == (assembly.header != nil && received == whole), "complete")
  }
}

private func assemble(_ messages: [[UInt8]]) {
  let count = 4096
  for offset: UInt64 in [0, 1 << 40, .max - UInt64(count)] {
    var assembly = PortionAssembly(inode: 257, offset: offset, count: count)
    for bytes in messages {
      guard let chunk = try? Floe_V1_PortionChunk(serializedBytes: bytes) else { continue }
      try? assembly.add(chunk)
      require(assembly.bytes.count <= count, "no more comes than was asked for")
    }
  }
}
