import FloeWire
import FoundationEssentials

/// Follows the chunks of a representation, over as many attempts as it takes, and says of
/// each which bytes go where.
struct RepresentationAssembly {
  /// What the whole is to be, once it was told.
  private(set) var header: Floe_V1_RepresentationHeader?
  /// Bytes that came in order, from the representation's start.
  private(set) var length: UInt64 = 0

  init() {}

  /// Whether every byte came.
  var isComplete: Bool { header.map { length == $0.length } ?? false }

  /// Takes the next chunk, whose bytes follow those that came before.
  mutating func add(_ chunk: Floe_V1_RepresentationChunk) throws(WireError) {
    if chunk.hasHeader { try take(chunk.header) }
    guard !chunk.data.isEmpty else { return }
    guard let header, chunk.offset == length, UInt64(chunk.data.count) <= header.length - length
    else {
      throw WireError(
        "a chunk of the representation at \(chunk.offset) came where \(length) was expected")
    }
    length += UInt64(chunk.data.count)
  }

  private mutating func take(_ new: Floe_V1_RepresentationHeader) throws(WireError) {
    guard header == nil || header == new else {
      throw WireError("the representation changed while it was fetched")
    }
    guard new.sha256.count == 32, Int64(exactly: new.length) != nil else {
      throw WireError("the representation's header makes no sense")
    }
    header = new
  }
}
