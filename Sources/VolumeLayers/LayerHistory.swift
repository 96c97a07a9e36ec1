public import DataSets
import FrozenImage

/// A state of a layer's runs, where something counts and names them.
public struct LayerState: Hashable, Sendable {
  /// Grows by one with every change of the runs; only who restores an older description
  /// of them makes it fall.
  public let number: UInt64
  /// Of what describes the runs, so that two states with one number can be told apart;
  /// `nil` where it was not noted.
  public let checksum: UInt32?

  public init(number: UInt64, checksum: UInt32?) {
    self.number = number
    self.checksum = checksum
  }
}

/// What is known of the changes that a layer's runs went through.
public protocol LayerHistory: Sendable {
  /// Why the layer may hold something else than it held in an earlier state: bytes of it
  /// left it, other than by a move that copied them, or nobody knows what happened.
  ///
  /// - Parameters:
  ///   - known: the earlier state.
  ///   - frozen: seconds of Unix time when the layer was in use as it was in that state, or
  ///     earlier.
  /// - Returns: one sentence; `nil` when the bytes are those of the earlier state.
  /// - Throws: `StackError` when a layer below cannot be read, or changes meanwhile.
  func departure(since known: LayerState, frozen: Int64) throws(StackError) -> String?
}

extension Stack {
  /// Bytes of a counted layer in a cursor: the number and the checksum, little-endian.
  private static let length = 12
  /// As floe wrote them before it noted checksums.
  private static let oldLength = 8

  private var counted: [(state: LayerState, history: (any LayerHistory)?)] {
    layers.compactMap { layer in
      guard case .mapped(let map) = layer.substance, let state = map.state else { return nil }
      return (state, map.history)
    }
  }

  /// The states of the layers that count them, for the provider's own note.
  public var cursor: [UInt8] {
    counted.flatMap { layer -> [UInt8] in
      let number = (0..<8).map { UInt8(truncatingIfNeeded: layer.state.number >> ($0 * 8)) }
      let checksum = layer.state.checksum ?? 0
      return number + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> ($0 * 8)) }
    }
  }

  /// The layers' states in a cursor; `nil` when it is of another stack.
  private func states(in cursor: [UInt8], of count: Int) -> [LayerState]? {
    let length = cursor.count == count * Self.oldLength ? Self.oldLength : Self.length
    guard cursor.count == count * length else { return nil }
    return cursor.withUnsafeBytes { bytes in
      (0..<count).map { index in
        LayerState(
          number: bytes.number(at: index * length) ?? 0,
          checksum: length == Self.length ? bytes.number(at: index * length + 8) : nil)
      }
    }
  }

  /// Whether more than one change may lie between a state and this one.
  func skipsStates(since cursor: [UInt8]) -> Bool {
    let now = counted
    guard !now.isEmpty, let known = states(in: cursor, of: now.count) else { return true }
    var changes: UInt64 = 0
    for (layer, known) in zip(now, known) {
      guard layer.state.number >= known.number else { return true }
      let (sum, overflow) = changes.addingReportingOverflow(layer.state.number - known.number)
      guard !overflow else { return true }
      changes = sum
    }
    return changes > 1
  }

  /// Why a layer may hold something else than in an earlier state; see
  /// `LayerHistory.departure(since:frozen:)`.
  ///
  /// - Throws: `StackError` when a history cannot be read now.
  package func departure(since cursor: [UInt8], frozen: Int64) throws(StackError) -> String? {
    let now = counted
    guard let known = states(in: cursor, of: now.count) else {
      return "\(top.title) lies on other layers than when it was frozen"
    }
    for (layer, known) in zip(now, known) where layer.state != known {
      guard let history = layer.history else { continue }
      if let departure = try history.departure(since: known, frozen: frozen) { return departure }
    }
    return nil
  }
}
