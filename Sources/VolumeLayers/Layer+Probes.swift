import DataSets
import FrozenImage

extension Layer {
  /// Carries a window of this layer down to the media.
  func mediumWindows(
    of window: ProbeWindow, stay: Bool, isComplete: inout Bool
  ) throws(StackError) -> [(Layer, Probe.Window)] {
    switch substance {
    case .medium:
      guard
        let found = Probe.Window(
          offset: window.offset, length: window.length, fragments: window.fragments)
      else {
        throw StackError(.malformed, "a probe of \(title) at byte \(window.offset) is malformed")
      }
      return [(self, found)]
    case .mapped(let map):
      var found: [(Layer, Probe.Window)] = []
      if stay, map.moves { return found }
      let end = window.offset + UInt64(window.length)
      for run in map.runs(in: window.offset..<end) {
        let range = run.range.clamped(to: window.offset..<end)
        guard case .below(let placement) = run.content else {
          isComplete = false
          // Encoded bytes that are written anew may come to lie elsewhere, so they show
          // what a medium is, but not that it changed.
          guard stay, case .encoded = run.content, let decoder = map.decoder else { continue }
          for encoded in decoder.stored(range) {
            found += try map.lower[encoded.layer].mediumWindows(
              of: encoded, stay: stay, isComplete: &isComplete)
          }
          continue
        }
        var position = range.lowerBound
        while position < range.upperBound {
          let piece = placement.piece(
            at: position - run.range.lowerBound, limit: range.upperBound - position)
          let part = Int(position - window.offset)..<Int(position + piece.length - window.offset)
          for address in piece.addresses {
            guard let below = window.piece(part, at: address) else { continue }
            found += try map.lower[address.layer].mediumWindows(
              of: below, stay: stay, isComplete: &isComplete)
          }
          position += piece.length
        }
      }
      return found
    }
  }

  /// - Parameter vacant: what counts as zeros, whatever it holds.
  func extract(_ probe: Probe, vacant: [Probe.Window] = []) throws(StackError) -> [UInt8] {
    var counted: [UInt8] = []
    for window in probe.windows {
      var bytes = try self.bytes(at: window.offset, count: window.length)
      for part in vacant {
        let end = window.offset + UInt64(window.length)
        let range = (part.offset..<part.offset + UInt64(part.length))
          .clamped(to: window.offset..<end)
        for place in range { bytes[Int(place - window.offset)] = 0 }
      }
      counted += bytes.withUnsafeBytes { window.extract(from: $0) ?? [] }
    }
    return counted
  }
}

extension ProbeWindow {
  /// The part of the window that lies at an address below; `nil` when no byte of it
  /// counts.
  fileprivate func piece(_ range: Range<Int>, at address: LayerAddress) -> ProbeWindow? {
    let fragments = fragments.compactMap { fragment -> Probe.Fragment? in
      let part = (fragment.offset..<fragment.offset + fragment.length).clamped(to: range)
      guard !part.isEmpty else { return nil }
      return Probe.Fragment(offset: part.lowerBound - range.lowerBound, length: part.count)
    }
    guard !fragments.isEmpty else { return nil }
    return ProbeWindow(
      layer: address.layer, offset: address.offset, length: range.count, fragments: fragments)
  }
}

extension UniqueIdentifier {
  /// A UUID that is made of bytes: version 8 (RFC 9562), the 128-bit FNV-1a hash of
  /// them (draft-eastlake-fnv). Equal bytes give equal identifiers; it is no
  /// protection against bytes that are chosen to collide.
  package init(naming bytes: [UInt8]) {
    var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
    for byte in bytes {
      hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
    }
    hash = hash & ~(0xF << 76) | 8 << 76
    hash = hash & ~(3 << 62) | 2 << 62
    let octets = (0..<16).map { UInt8(truncatingIfNeeded: hash >> UInt128(8 * (15 - $0))) }
    self = UniqueIdentifier(bytes: octets[...]) ?? .random()
  }
}
