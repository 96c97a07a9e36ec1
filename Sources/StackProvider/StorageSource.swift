import DataSets
public import FrozenImage
import HostSystem
public import ImageReader
public import LogicalRepresentation
import Media
import Synchronization
public import SystemPackage
import VolumeLayers

/// Answers for an image in a volume stack from its media, on whatever host has them: the
/// storage itself says where everything lies now.
///
/// An answer is made as `StackSource` makes it, between two equal looks at the witness and
/// with the proof that the image is still what was frozen. What the media do not tell is an
/// error, for which somebody else may be asked.
public final class StorageSource: ProductionHost {
  private let source: StackSource
  private let media: VolumeMedia

  /// - Parameters:
  ///   - volume: the volume of the image.
  ///   - medium: the medium that a reader of the image has open by now; `nil` when it has not.
  ///   - take: opens a medium that the image did not lie on when it was frozen, if it is there
  ///     and may be taken.
  /// - Returns: `nil` when the representation does not tell how the stack is found again.
  public init?(
    _ representation: Representation, volume: VolumeDescription,
    medium: @escaping @Sendable (MediumID) -> (any Medium)?,
    take: @escaping @Sendable (MediumDescription) throws -> any Medium
  ) {
    guard volume.validation == .witness, let trail = volume.trail.flatMap({ StackTrail($0) })
    else { return nil }
    let media = VolumeMedia(volume.media, medium: medium, take: take)
    self.media = media
    let finder = StorageFinder(
      trail, media: { media.open }, take: { media.taken($0) }, refusal: { media.refusal(of: $0) })
    source = StackSource(
      trail.image,
      watch: StackWatch(isCurrent: { media.areOpen(in: $0) }, { try finder.find() }),
      representation: { representation })
  }

  /// Looks at the stack now and then while nobody asks: see `StackSource.follow`.
  ///
  /// - Throws: `Errno` when the system has no thread left.
  public func follow() throws(Errno) { try source.follow() }

  public func fill() -> SnapshotFill? { source.fill() }

  /// Whether, at the last answer, the image lay on a raid: the kernel of the host that has it
  /// active may have left out a leg that no medium tells of.
  public var liesOnRaid: Bool { source.liesOnRaid }

  public func liveCheck() throws(SourceError) {
    do throws(SourceError) {
      try source.liveCheck()
    } catch {
      throw verdict(error)
    }
  }

  /// What an error says for good: another medium in the place of one shows no image either.
  private func verdict(_ error: SourceError) -> SourceError {
    guard case .thawed(let reason) = error, !media.areRight else { return error }
    return .failed("a medium of the image cannot be read, or is another one now: \(reason)")
  }

  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let answer: MappingAnswer
    do throws(SourceError) {
      answer = try source.answer(question)
    } catch {
      throw verdict(error)
    }
    let volume = answer.volume.map { volume in
      MappingAnswer.Volume(
        map: volume.map, media: volume.media.map(named), skipsStates: volume.skipsStates)
    }
    // What the reader found on a medium is what that medium showed: the two look at the same
    // device, so other bytes than now are those of an earlier moment.
    return MappingAnswer(
      state: answer.state, changes: answer.changes, volume: volume, behind: [],
      located: answer.located)
  }

  /// A medium by the names that people know it by: those of the production host.
  private func named(_ medium: MediumDescription) -> MediumDescription {
    guard let known = media.frozen.first(where: { $0.id == medium.id }) else { return medium }
    return MediumDescription(
      id: medium.id, label: known.label, size: medium.size, path: known.path,
      hardwareID: known.hardwareID, identity: medium.identity,
      identityBytes: medium.identityBytes, witness: medium.witness)
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    do throws(SourceError) {
      return try source.read(inode: inode, offset: offset, into: buffer)
    } catch {
      throw verdict(error)
    }
  }
}

/// The media that a stack is looked for on.
private final class VolumeMedia: Sendable {
  /// A medium that a volume group named, or why there is none.
  private enum Taken {
    case medium(any Medium)
    /// Not before this time (`MonotonicClock`).
    case missing(nextSearch: UInt64, reason: String)
  }

  /// Those that the image lay on when it was frozen.
  let frozen: [MediumDescription]
  private let medium: @Sendable (MediumID) -> (any Medium)?
  private let take: @Sendable (MediumDescription) throws -> any Medium
  private let others = Mutex<[MediumID: Taken]>([:])
  /// Nanoseconds between two searches for a medium that is missing.
  private static let searchInterval: UInt64 = 5_000_000_000

  init(
    _ frozen: [MediumDescription], medium: @escaping @Sendable (MediumID) -> (any Medium)?,
    take: @escaping @Sendable (MediumDescription) throws -> any Medium
  ) {
    self.frozen = frozen
    self.medium = medium
    self.take = take
  }

  /// Those that the image lay on when it was frozen, as they are open now.
  private var present: [any Medium] { frozen.compactMap { medium($0.id) } }

  /// Those that its volume group had besides when it was looked at last, as they are open now.
  private var later: [any Medium] {
    others.withLock { others in
      others.compactMap { id, taken -> (any Medium)? in
        guard case .medium(let own) = taken else { return nil }
        return medium(id) ?? own
      }
    }
  }

  /// Those of the former that are still what they were, as a path may lead to another medium
  /// by now.
  private var right: [any Medium] {
    frozen.compactMap { description in
      guard let medium = medium(description.id),
        (try? medium.verifyIdentity(of: description)) != nil
      else { return nil }
      return medium
    }
  }

  /// Where a stack may be found: its volume group may have left all media of the freeze.
  var open: [any Medium] { right + later }

  /// Whether all media of the freeze are there, and are what they were.
  var areRight: Bool { right.count == frozen.count }

  /// Another one, as the reader has it or may have it.
  func taken(_ description: MediumDescription) -> (any Medium)? {
    let id = description.id
    // What was described at the freeze is the reader's to find: it knows more of it.
    if frozen.contains(where: { $0.id == id }) { return medium(id) }
    if let medium = medium(id) {
      others.withLock { $0[id] = .medium(medium) }
      return medium
    }
    let now = MonotonicClock.now()
    switch others.withLock({ $0[id] }) {
    case .medium(let medium)?:
      if (try? medium.extract(description.identity)) == description.identityBytes { return medium }
    case .missing(let nextSearch, _)? where now < nextSearch: return nil
    default: break
    }
    do {
      let found = try take(description)
      others.withLock { $0[id] = .medium(found) }
      return found
    } catch {
      others.withLock {
        $0[id] = .missing(nextSearch: now + Self.searchInterval, reason: "\(error)")
      }
      return nil
    }
  }

  /// Why one was not taken.
  func refusal(of id: MediumID) -> String? {
    others.withLock { others in
      if case .missing(_, let reason)? = others[id] { reason } else { nil }
    }
  }

  /// Whether what a stack was found on is what is open now.
  func areOpen(in found: FoundStack) -> Bool {
    let present = (present + later).map { $0 as AnyObject }
    return found.stack.layers.allSatisfy { layer in
      guard case .medium(let medium) = layer.substance else { return true }
      return present.contains { $0 === medium as AnyObject }
    }
  }
}
