public import DataSets
public import FrozenImage
public import ImageReader
import Media
import SystemPackage

/// An address space of bytes in a volume stack, as the production host sees it: a
/// storage medium, or what a mapper makes of the layers below.
///
/// A mapper is a pure function: it reads the layers below and gives a `LayerMap`. A
/// layer is what the next mapper reads, so stacks of any order compose.
public final class Layer: Sendable {
  /// Where the bytes of a layer are.
  public enum Substance: Sendable {
    /// The bytes of a block device or file, one to one.
    case medium(any Medium)
    case mapped(LayerMap)
  }

  /// What it is, for people: "partition 2 (GPT)", "logical volume vg/root".
  public let title: String
  /// Bytes.
  public let size: UInt64
  /// Where its bytes are: on a medium, or in the layers below.
  public let substance: Substance
  /// Bytes of the logical sectors of the device that shows the layer, in which its
  /// partition table counts; `nil` where no device tells.
  public let sectorSize: UInt64?
  /// Whether every byte lies on a medium; otherwise parts read as zeros or are encoded.
  let isSolid: Bool

  /// - Parameter sectorSize: of the device that shows the medium's bytes, where that is
  ///   another one than the medium: a loop device over a file.
  public init(_ medium: any Medium, sectorSize: UInt64? = nil) {
    title = medium.path
    size = medium.size
    self.sectorSize = sectorSize ?? (medium as? OpenMedium)?.sectorSize
    substance = .medium(medium)
    isSolid = true
  }

  /// What a mapper made of the layers that the map names.
  public init(_ map: LayerMap) {
    title = map.title
    size = map.size
    sectorSize = map.sectorSize
    substance = .mapped(map)
    isSolid =
      map.lower.allSatisfy(\.isSolid)
      && map.runs.allSatisfy { if case .below = $0.content { true } else { false } }
  }

  /// Where a layer begins in one of the layers below.
  public struct Base {
    /// The medium that the layer lies on.
    public let medium: any Medium
    /// Bytes from the start of the medium.
    public let offset: UInt64
  }

  /// The medium that the whole layer lies on in one piece; `nil` when it does not.
  public var base: Base? {
    switch substance {
    case .medium(let medium): return Base(medium: medium, offset: 0)
    case .mapped(let map):
      guard map.runs.count == 1, case .below(let placement) = map.runs[0].content,
        placement.targets.count == 1, let target = placement.targets.first,
        map.lower.indices.contains(target.layer), let below = map.lower[target.layer].base
      else { return nil }
      return Base(medium: below.medium, offset: below.offset + target.offset)
    }
  }
}

/// What a mapper makes: an address space, and for each run of it the place in the
/// layers below.
public struct LayerMap: Sendable {
  /// What the layer is, for people ("partition 2 (GPT)").
  public let title: String
  /// Bytes.
  public let size: UInt64
  /// The layers that the runs point into, by their index.
  public let lower: [Layer]
  /// In ascending order, without gap or overlap, from 0 to `size`.
  public let runs: [LayerRun]
  /// Bytes of the layers below that never change while they are the right ones.
  public let identity: [ProbeWindow]
  /// Bytes of the layers below that change, durably, before a region that this map
  /// points at is written anew.
  public let witness: [ProbeWindow]
  /// Gives the bytes of encoded runs; `nil` when there are none.
  public let decoder: (any RunDecoder)?
  /// Whether the runs may come to lie elsewhere while the layer is in use. What is known
  /// of its own bytes then tells nothing of a place below.
  public let moves: Bool
  /// The state of the runs; `nil` where nothing counts their changes.
  public let state: LayerState?
  /// What is known of their changes; `nil` where nothing is.
  public let history: (any LayerHistory)?
  /// Bytes of the logical sectors of the device that shows the layer; `nil` where no
  /// device tells, as of a disk inside an image's file.
  public let sectorSize: UInt64?
  /// Where the runs move all the time; `nil` where they stay for a while.
  public let live: LiveMap?
  /// Whether whoever writes the layer gives its bytes new places that the witness does not
  /// show, as in a disk image.
  public let allocates: Bool

  /// Checks the invariants above.
  ///
  /// - Throws: `StackError` when the runs do not tile the layer, or point beyond a
  ///   layer below.
  public init(
    title: String, size: UInt64, lower: [Layer], runs: [LayerRun], identity: [ProbeWindow] = [],
    witness: [ProbeWindow] = [], decoder: (any RunDecoder)? = nil, moves: Bool = false,
    state: LayerState? = nil, history: (any LayerHistory)? = nil, sectorSize: UInt64? = nil,
    live: LiveMap? = nil, allocates: Bool = false
  ) throws(StackError) {
    var position: UInt64 = 0
    for run in runs {
      guard run.range.lowerBound == position, !run.range.isEmpty else {
        throw StackError(
          .malformed, "the map of \(title) has a gap or an overlap at byte \(position)")
      }
      guard run.fits(lower) else {
        throw StackError(
          .malformed, "the map of \(title) points beyond the layer below at byte \(position)")
      }
      if case .encoded = run.content, decoder == nil {
        throw StackError(
          .malformed, "the map of \(title) has no decoder for the run at byte \(position)")
      }
      position = run.range.upperBound
    }
    guard position == size else {
      throw StackError(
        .malformed, "the map of \(title) ends at byte \(position), not at its end \(size)")
    }
    for window in identity + witness + (live?.vacant ?? []) where !window.fits(lower) {
      throw StackError(.malformed, "a probe of \(title) lies beyond the layer below")
    }
    self.title = title
    self.size = size
    self.lower = lower
    self.runs = runs
    self.identity = identity
    self.witness = witness
    self.decoder = decoder
    self.moves = moves
    self.state = state
    self.history = history
    self.sectorSize = sectorSize
    self.live = live
    self.allocates = allocates
  }

  /// Parts of the witness that were zero when the map was right.
  var vacant: [ProbeWindow] { live?.vacant ?? [] }

  /// The runs that share bytes with a range, found by binary search.
  package func runs(in range: Range<UInt64>) -> ArraySlice<LayerRun> {
    runs.overlapping(range)
  }
}

/// A run of a layer's bytes and what it consists of.
public struct LayerRun: Hashable, Sendable {
  /// What the bytes of a run are.
  public enum Content: Hashable, Sendable {
    case below(Placement<LayerAddress>)
    /// Reads as zeros; nothing below holds it.
    case zeros
    /// Kept below in an encoding that only the layer's decoder reads.
    case encoded
  }

  /// Bytes from the start of the layer.
  public let range: Range<UInt64>
  /// What the bytes are, the first of them at its beginning.
  public let content: Content

  public init(_ range: Range<UInt64>, _ content: Content) {
    self.range = range
    self.content = content
  }

  /// A run in one piece of a layer below.
  public static func linear(_ range: Range<UInt64>, at address: LayerAddress) -> LayerRun {
    LayerRun(range, .below(.linear(at: address)))
  }

  fileprivate func fits(_ lower: [Layer]) -> Bool {
    guard case .below(let placement) = content else { return true }
    let length = range.upperBound - range.lowerBound
    return placement.targets.enumerated().allSatisfy { index, address in
      guard lower.indices.contains(address.layer) else { return false }
      let (end, overflow) = address.offset.addingReportingOverflow(
        placement.length(ofColumn: index / placement.copies, of: length))
      return !overflow && end <= lower[address.layer].size
    }
  }
}

/// A place in one of the layers below.
public struct LayerAddress: Hashable, Sendable {
  /// Index in `LayerMap.lower`.
  public let layer: Int
  /// Bytes from the start of that layer.
  public let offset: UInt64

  public init(layer: Int, offset: UInt64) {
    self.layer = layer
    self.offset = offset
  }
}

/// A probe (see `Probe`) in the address space of a layer below. The stack carries it
/// down to the media.
public struct ProbeWindow: Hashable, Sendable {
  /// Index in `LayerMap.lower`.
  public let layer: Int
  /// Bytes from the start of that layer.
  public let offset: UInt64
  /// Bytes.
  public let length: Int
  /// The parts of the window that count, as in `Probe`.
  public let fragments: [Probe.Fragment]

  public init(layer: Int, offset: UInt64, length: Int, fragments: [Probe.Fragment]) {
    self.layer = layer
    self.offset = offset
    self.length = length
    self.fragments = fragments
  }

  /// A window all of whose bytes count.
  public init(layer: Int, offset: UInt64, length: Int) {
    self.init(
      layer: layer, offset: offset, length: length,
      fragments: [Probe.Fragment(offset: 0, length: length)])
  }

  fileprivate func fits(_ lower: [Layer]) -> Bool {
    guard lower.indices.contains(layer), length >= 0,
      Probe(offset: offset, length: length, fragments: fragments) != nil
    else { return false }
    return offset + UInt64(length) <= lower[layer].size
  }
}

/// Reads what a mapper cannot express as places below.
public protocol RunDecoder: Sendable {
  /// Fills the buffer with the layer's bytes from `offset` on, all of which lie in
  /// encoded runs.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StackError)

  /// Bytes of the layers below that a range, all of which lies in encoded runs, is decoded
  /// from, or as many of them as tell it from others.
  func stored(_ range: Range<UInt64>) -> [ProbeWindow]
}
