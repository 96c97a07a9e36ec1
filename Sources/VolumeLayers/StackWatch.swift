package import DataSets
package import FrozenImage
import ImageReader
import Synchronization

/// Finds a stack, again whenever a witness shows that it may have moved.
package final class StackWatch: Sendable {
  /// Times that the stack is looked for while it keeps changing.
  private static let attempts = 5
  /// Most states whose media are remembered.
  private static let memory = 64

  /// A stack as it is under one configuration ID.
  package struct Look: Sendable {
    /// The stack, and the file system that is on top of it.
    package let found: FoundStack
    /// The witness of all media, the same before the stack was looked for and after.
    package let configurationID: ConfigurationID
    let media: [MediumDescription]
    /// Which map it is: two looks with one number have the same places and media.
    fileprivate let map: UInt64

    /// The layers of what was found.
    package var stack: Stack { found.stack }
  }

  private struct State {
    var last: Look?
    /// In the order in which they were seen.
    var past: [(id: ConfigurationID, media: [MediumDescription], map: UInt64)] = []
    var lastMap: UInt64 = 0
  }

  private let find: @Sendable () throws -> FoundStack
  private let isCurrent: @Sendable (FoundStack) -> Bool
  private let state = Mutex(State())

  /// - Parameter isCurrent: whether the media that a stack was found on are still those to
  ///   look at.
  package init(
    isCurrent: @escaping @Sendable (FoundStack) -> Bool = { _ in true },
    _ find: @escaping @Sendable () throws -> FoundStack
  ) {
    self.find = find
    self.isCurrent = isCurrent
  }

  /// What was found last, if its media are still those to look at.
  private var last: Look? {
    state.withLock { $0.last }.flatMap { isCurrent($0.found) ? $0 : nil }
  }

  /// The present stack; `nil` when it keeps changing.
  ///
  /// - Throws: what finding the stack throws, and `StackError` when a medium cannot be read.
  package func look() throws -> Look? {
    // A medium that cannot be read is looked for anew.
    // Nor is one whose witness does not show every change known by it.
    let last = last
    if let known = last, known.stack.validation == .witness,
      (try? isPresent(known)) == true
    {
      return known
    }
    if let known = last, known.found.isLive, let look = try? settled(known) {
      remember(look)
      return look
    }
    for _ in 0..<Self.attempts {
      // One ID before and after: the stack that was found in between belongs to it.
      let first = try find()
      let before = try first.stack.configurationID()
      let found = try find()
      if found.isLive {
        guard found.hasBase(of: first) else { continue }
        let look = Look(
          found: found, configurationID: before, media: try found.stack.media(), map: newMap())
        do throws(StackError) {
          guard let look = try settled(look) else { continue }
          remember(look)
          return look
        } catch {
          // What it lies on may have moved since it was found.
          guard error.code == .inUse else { throw error }
          continue
        }
      }
      let look = Look(
        found: found, configurationID: before, media: try found.stack.media(), map: newMap())
      guard try isPresent(look) else { continue }
      remember(look)
      return look
    }
    return nil
  }

  /// A look at a stack that moves all the time: the places at one moment since the call, and
  /// the ID of that moment. It never waits for a pause of whoever moves it.
  private func settled(_ known: Look) throws(StackError) -> Look? {
    var (found, media, map) = (known.found, known.media, known.map)
    for _ in 0..<Self.attempts {
      if let next = try found.successor() {
        (found, media, map) = (next, try next.stack.media(), newMap())
      }
      if let id = try found.settledID() {
        return Look(found: found, configurationID: id, media: media, map: map)
      }
    }
    return nil
  }

  private func newMap() -> UInt64 {
    state.withLock { state in
      state.lastMap += 1
      return state.lastMap
    }
  }

  private func remember(_ look: Look) {
    state.withLock { state in
      state.last = look
      if state.past.count >= Self.memory { state.past.removeFirst() }
      state.past.append((look.configurationID, look.media, look.map))
    }
  }

  /// Whether a look still holds.
  ///
  /// - Throws: `StackError` when a medium cannot be read.
  package func isPresent(_ look: Look) throws(StackError) -> Bool {
    try look.stack.configurationID() == look.configurationID
  }

  /// Where everything lies, unless it is where it was in the known state: a witness may
  /// change although nothing of this stack moved, as with each commit of a thin pool.
  ///
  /// - Throws: `StackError` when the stack cannot be described as stores.
  package func volume(
    of look: Look, since known: MappingState
  ) throws -> MappingAnswer.Volume? {
    // Where the kernel knows more than the media show, one ID may have two maps, the other one
    // told by a kernel that ran before.
    if look.found.liesOnRaid { return try look.volumeNow(since: known) }
    let isKnown = state.withLock { state in
      state.past.contains { $0.id == known.configurationID && $0.map == look.map }
    }
    return isKnown ? nil : try look.volume(since: known)
  }

  /// The media of a state that was seen lately.
  package func media(of id: ConfigurationID) -> [MediumDescription]? {
    state.withLock { $0.past.last { $0.id == id }?.media }
  }
}

extension StackWatch.Look {
  /// Where everything lies, unless it is where it was in the known state: one ID stands
  /// for one map.
  ///
  /// - Throws: `StackError`, or `ChainError` when the stores do not fit together.
  package func volume(since known: MappingState) throws -> MappingAnswer.Volume? {
    guard known.configurationID != configurationID else { return nil }
    return try volumeNow(since: known)
  }

  /// Where everything lies, whether it is where it was or not.
  fileprivate func volumeNow(since known: MappingState) throws -> MappingAnswer.Volume {
    MappingAnswer.Volume(
      map: try stack.storeMap(), media: media,
      skipsStates: stack.skipsStates(since: known.cursor))
  }

  /// Media on which the backup host found other bytes than this host does at the same
  /// places: it saw an earlier moment, or another medium, such as a clone that stays
  /// behind. It reads the witness where the state that it knows says; when something
  /// moved, that need not be where the witness is now.
  ///
  /// - Parameter media: those of the state that the backup host knows; `nil` when
  ///   nobody remembers it.
  package func behind(
    _ question: MappingQuestion, knowing media: [MediumDescription]?
  ) -> Set<MediumID> {
    var behind: Set<MediumID> = []
    for found in question.found.entries where configurationID[found.medium] != found.bytes {
      guard let probe = media?.first(where: { $0.id == found.medium })?.witness,
        let bytes = extract(probe, from: found.medium), bytes == found.bytes
      else {
        behind.insert(found.medium)
        continue
      }
    }
    return behind
  }

  /// What counts of a probe of a medium; `nil` when it cannot be read.
  private func extract(_ probe: Probe, from id: MediumID) -> [UInt8]? {
    guard let path = media.first(where: { $0.id == id })?.path else { return nil }
    for case .medium(let medium) in stack.layers.map(\.substance) where medium.path == path {
      let layer = Layer(medium)
      var counted: [UInt8] = []
      for window in probe.windows {
        guard let bytes = try? layer.bytes(at: window.offset, count: window.length),
          let part = bytes.withUnsafeBytes({ window.extract(from: $0) })
        else { return nil }
        counted += part
      }
      return counted
    }
    return nil
  }
}
