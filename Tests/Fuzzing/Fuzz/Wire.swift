import FloeWire
import FrozenImage
import SwiftProtobuf

@testable import ImageReader
@testable import ImageService

/// The messages of an input, each after its length in two bytes; the last may be cut short.
func messages(in input: ArraySlice<UInt8>) -> [[UInt8]] {
  var messages: [[UInt8]] = []
  var rest = input
  while rest.count > 2 {
    let length = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
    messages.append(Array(rest.dropFirst(2).prefix(length)))
    rest = rest.dropFirst(2 + length)
  }
  return messages
}

/// A map that an answer may tell changes of.
private let known: KnownMap? = {
  let (top, disk) = (StoreID(rawValue: 7), StoreID(rawValue: 1))
  let extents = (0..<UInt64(8)).compactMap {
    try? StoreExtent.linear(
      offset: $0 << 12, length: 4096, target: StoreAddress(store: disk, offset: $0 << 20))
  }
  let medium = MediumID(rawValue: UniqueIdentifier(high: 1, low: 1))
  let map = try? StoreMap(
    stores: [top: .logical(label: "btrfs"), disk: .physical(medium)], extents: [top: extents])
  return map.map { KnownMap(ConfigurationID(entries: []), $0) }
}()

/// An input is the pages of an answer. Every page is taken for a question as well.
func fuzzWire(_ input: [UInt8]) {
  var assembly = AnswerAssembly(since: known)
  var isSound = true
  for bytes in messages(in: input[...]) {
    if let request = try? Floe_V1_AnswerRequest(serializedBytes: bytes) {
      _ = try? MappingQuestion(wire: request)
    }
    guard let page = try? Floe_V1_AnswerPage(serializedBytes: bytes) else { continue }
    isSound = isSound && (try? assembly.add(page)) != nil
  }
  guard isSound, let answer = try? assembly.finish() else { return }
  use(answer)
}

/// Takes an answer over as a reader does, and plans reads with it.
private func use(_ answer: MappingAnswer) {
  var overlay = Overlay()
  overlay.invalidate(answer.changes)
  for located in answer.located { overlay.insert(located) }
  let map = answer.volume?.map
  for located in answer.located.prefix(16) {
    for item in located.extents.prefix(16) {
      let start = item.extent.offset
      let length = min(item.extent.length, 8192)
      let range = start..<start + length
      let portion = Portion(inode: item.inode, range: range)
      let parts = overlay.knowledge(of: portion).map(\.range)
      require(tile(parts, range), "what is known of a portion covers it")
      guard let map else { continue }
      let content = PortionContent(extents: [item.extent], checksummed: [range])
      var planner = Planner(
        portion: portion, content: content, map: map, lost: answer.behind, mapIsNew: true)
      guard let plan = planner.plan(with: overlay) else { continue }
      require(tile(plan.pieces.map(\.range), range), "a plan covers its portion")
    }
  }
}

private func tile(_ parts: [Range<UInt64>], _ whole: Range<UInt64>) -> Bool {
  var position = whole.lowerBound
  for part in parts {
    guard part.lowerBound == position, !part.isEmpty else { return false }
    position = part.upperBound
  }
  return position == whole.upperBound
}
