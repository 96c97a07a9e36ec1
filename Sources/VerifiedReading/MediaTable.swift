public import FrozenImage
import Glibc
import HostSystem
public import ImageReader
import Media
import Synchronization
import SystemPackage

/// The media that a reader has open, and the witness check over all of them.
public final class MediaTable: Sendable {
  /// Opens the medium of a description; the witness bytes tell equals apart.
  public typealias Opener =
    @Sendable (MediumDescription, _ witness: [UInt8]?) throws -> any Medium

  /// An open medium, and the incarnation that it is.
  struct Installed {
    let medium: any Medium
    let incarnation: Incarnation
    /// Whether its loss is known: its witness could not be read last.
    var isLost = false
  }

  private struct State {
    var media: [MediumID: Installed] = [:]
    /// Tells the read rule of a new incarnation; called with the table's lock held, so that
    /// rule and table change in one step for everybody who fetches or checks.
    var begin: @Sendable (MediumID) -> Incarnation
    /// Why a medium is not there, for messages.
    var failures: [MediumID: String] = [:]
    var isSearching = false
    var nextSearch: UInt64 = 0

    mutating func install(_ medium: any Medium, as id: MediumID) {
      media[id] = Installed(medium: medium, incarnation: begin(id))
    }

    /// What was read from the medium before proves nothing any more; once for each loss.
    mutating func lose(_ id: MediumID, _ incarnation: Incarnation) {
      guard let lost = media[id], lost.incarnation == incarnation, !lost.isLost else { return }
      media[id] = Installed(medium: lost.medium, incarnation: begin(id), isLost: true)
    }

    mutating func keep(_ id: MediumID, _ incarnation: Incarnation) {
      if media[id]?.incarnation == incarnation { media[id]?.isLost = false }
    }
  }

  private let opener: Opener
  private let state: Monitor<State>
  let marks = MarkWatch()
  /// Nanoseconds between two searches for media that are missing.
  private let searchInterval: UInt64 = 5_000_000_000

  /// An empty table, until a reader opens its media.
  public init(opener: @escaping Opener) {
    self.opener = opener
    state = Monitor(
      State(begin: { _ in preconditionFailure("a table opens media for a reader") }))
  }

  /// Opens media that are not open yet. Two that match are refused here: a clone
  /// made at the freeze would show the witness of the freeze.
  ///
  /// - Parameters:
  ///   - known: the state that the media are described under. One that it has no
  ///     witness of was missing, or had fallen behind, on the production host as well:
  ///     nothing is read from it before an answer says otherwise, so it need not be there.
  ///   - begin: tells the read rule of each new incarnation, from now on.
  /// - Throws: what the opener threw for the first medium that cannot be had.
  func open(
    _ media: [MediumDescription], of known: ConfigurationID,
    beginning begin: @escaping @Sendable (MediumID) -> Incarnation
  ) throws {
    state.withLock { $0.begin = begin }
    for description in media where self[description.id] == nil {
      do {
        let medium = try opener(description, nil)
        state.withLock { $0.install(medium, as: description.id) }
      } catch MediumFinder.Failure.notFound where known[description.id] == nil {
        state.withLock { $0.failures[description.id] = "the production host did not have it" }
      }
    }
  }

  /// The open medium, or `nil` when it is missing.
  public subscript(id: MediumID) -> (any Medium)? {
    installed(id)?.medium
  }

  func installed(_ id: MediumID) -> Installed? {
    state.withLock { $0.media[id] }
  }

  /// Why a medium is missing.
  func failure(of id: MediumID) -> String {
    state.withLock { $0.failures[id] } ?? "it is not open"
  }

  /// All open media, as they are installed now.
  var installed: [MediumID: Installed] {
    state.withLock { $0.media }
  }

  /// Reads the witness of every medium.
  func check(_ media: [MediumDescription]) -> WitnessFindings {
    check(media, on: installed)
  }

  /// Reads the witness of every medium.
  ///
  /// - Parameter open: the media as they were installed at some moment.
  func check(_ media: [MediumDescription], on open: [MediumID: Installed]) -> WitnessFindings {
    var findings = WitnessFindings()
    for description in media {
      let id = description.id
      guard let probe = description.witness else { continue }
      guard let installed = open[id] else {
        findings.unreadable.insert(id)
        continue
      }
      do throws(MediumError) {
        findings.witnesses.append(
          WitnessFindings.Witness(
            medium: id, bytes: try installed.medium.extract(probe),
            incarnation: installed.incarnation))
        if installed.isLost { state.withLock { $0.keep(id, installed.incarnation) } }
      } catch {
        findings.unreadable.insert(id)
        state.withLock { state in
          state.failures[id] = error.description
          state.lose(id, installed.incarnation)
        }
      }
    }
    return findings
  }

  /// Looks again for media that are missing, behind or replaced, on a thread of
  /// its own, unless that is under way or was tried a moment ago.
  func search(
    for lost: [MediumDescription], as known: ConfigurationID,
    changed: @escaping @Sendable () -> Void
  ) {
    let now = MonotonicClock.now()
    let begins = state.withLock { state in
      guard !lost.isEmpty, !state.isSearching, now >= state.nextSearch else { return false }
      state.isSearching = true
      return true
    }
    guard begins else { return }
    do throws(Errno) {
      try Thread.detach { [self] in
        var isChanged = false
        for description in lost where replace(description, as: known) { isChanged = true }
        endSearch()
        if isChanged { changed() }
      }
    } catch {
      // The next check tries again.
      endSearch()
    }
  }

  private func endSearch() {
    state.withLock { state in
      state.isSearching = false
      state.nextSearch = MonotonicClock.now() + searchInterval
    }
  }

  /// Puts a newly found medium in the place of the one that is lost; says whether
  /// it is another one.
  private func replace(_ description: MediumDescription, as known: ConfigurationID) -> Bool {
    do {
      let medium = try opener(description, known[description.id])
      // It may have come back during the search, and what was found may be a clone.
      if let probe = description.witness, let current = self[description.id],
        (try? current.extract(probe)) == known[description.id]
      {
        return false
      }
      return state.withLock { state in
        let isNew = state.media[description.id].map { $0.medium.path != medium.path } ?? true
        state.install(medium, as: description.id)
        state.failures[description.id] = nil
        return isNew
      }
    } catch {
      state.withLock { $0.failures[description.id] = "\(error)" }
      return false
    }
  }
}
