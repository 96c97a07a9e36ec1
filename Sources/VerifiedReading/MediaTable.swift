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

  /// An open medium, with a number of its own: one that takes its place has another.
  struct Installed {
    let medium: any Medium
    let serial: UInt64
  }

  private struct State {
    var media: [MediumID: Installed] = [:]
    private var lastSerial: UInt64 = 0
    /// Why a medium is not there, for messages.
    var failures: [MediumID: String] = [:]
    var isSearching = false
    var nextSearch: UInt64 = 0

    mutating func install(_ medium: any Medium, as id: MediumID) {
      lastSerial += 1
      media[id] = Installed(medium: medium, serial: lastSerial)
    }
  }

  private let opener: Opener
  private let state = Mutex(State())
  /// Nanoseconds between two searches for media that are missing.
  private let searchInterval: UInt64 = 5_000_000_000

  public init(opener: @escaping Opener) {
    self.opener = opener
  }

  /// Opens media that are not open yet. Two that match are refused here: a clone
  /// made at the freeze would show the witness of the freeze.
  ///
  /// - Parameter known: the state that the media are described under. One that it has no
  ///   witness of was missing, or had fallen behind, on the production host as well:
  ///   nothing is read from it before an answer says otherwise, so it need not be there.
  /// - Throws: what the opener threw for the first medium that cannot be had.
  public func open(_ media: [MediumDescription], of known: ConfigurationID) throws {
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

  /// Whether the media that were read from are all still in their places. Only then
  /// did a check that was made meanwhile look at those very media.
  func areInstalled(_ serials: [MediumID: UInt64]) -> Bool {
    state.withLock { state in
      serials.allSatisfy { state.media[$0]?.serial == $1 }
    }
  }

  /// Why a medium is missing.
  func failure(of id: MediumID) -> String {
    state.withLock { $0.failures[id] } ?? "it is not open"
  }

  /// What a check found.
  struct Findings {
    var found: ConfigurationID
    var unreadable: Set<MediumID>
  }

  /// Reads the witness of every medium.
  func check(_ media: [MediumDescription]) -> Findings {
    var entries: [ConfigurationID.Entry] = []
    var unreadable: Set<MediumID> = []
    for description in media {
      guard let probe = description.witness else { continue }
      guard let medium = self[description.id] else {
        unreadable.insert(description.id)
        continue
      }
      do throws(MediumError) {
        let bytes = try medium.extract(probe)
        entries.append(ConfigurationID.Entry(medium: description.id, bytes: bytes))
      } catch {
        unreadable.insert(description.id)
        state.withLock { $0.failures[description.id] = error.description }
      }
    }
    return Findings(found: ConfigurationID(entries: entries), unreadable: unreadable)
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
