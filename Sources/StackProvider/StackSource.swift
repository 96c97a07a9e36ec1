import DataSets
public import FrozenImage
import Glibc
import HostSystem
public import ImageReader
public import LogicalRepresentation
import Synchronization
public import SystemPackage
import VolumeLayers

/// Answers for an image in a volume stack at rest: where its layers lie now, and whether
/// it is still what was frozen.
///
/// Places in the top layer never change: only the layers below may move. So nothing of
/// a file ever changes, and an answer is the stack's present map.
public final class StackSource: ProductionHost, Sendable {
  private let image: StackFreezer.Image
  private let watch: StackWatch
  private let representation: @Sendable () throws -> Representation
  private let confirmed = Mutex<Confirmed?>(nil)
  private let hasRaid = Mutex(false)

  private static let attempts = 10
  /// Microseconds between two looks.
  private static let followingPause: UInt32 = 1_000_000

  /// A state in which the stack was found to be what was frozen.
  private struct Confirmed {
    let cursor: [UInt8]
    /// Seconds of Unix time when the image was made.
    let frozen: Int64
  }

  /// - Parameter representation: opens what was described of the image.
  public convenience init(
    _ image: StackFreezer.Image, representation: @escaping @Sendable () throws -> Representation
  ) {
    self.init(
      image,
      watch: StackWatch(isCurrent: { $0.isSoHere() }) {
        try StackFinder(image.place, frozen: image).find()
      },
      representation: representation)
  }

  /// - Parameter watch: finds the stack.
  init(
    _ image: StackFreezer.Image, watch: StackWatch,
    representation: @escaping @Sendable () throws -> Representation
  ) {
    self.image = image
    self.watch = watch
    self.representation = representation
  }

  /// Looks at the stack now and then while nobody asks, as long as this object lives: what
  /// tells of its changes (`LayerHistory`) is not kept for ever.
  ///
  /// - Throws: `Errno` when the system has no thread left.
  public func follow() throws(Errno) {
    try Thread.detach { [weak self] in
      repeat { usleep(Self.followingPause) } while self?.confirm() ?? false
    }
  }

  /// - Returns: whether there are changes to follow.
  private func confirm() -> Bool {
    guard let look = try? current() else { return true }
    return !look.stack.cursor.isEmpty
  }

  /// Proves that the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  public func liveCheck() throws(SourceError) {
    _ = try current()
  }

  /// The stack as it is now, with the image in it.
  private func current() throws(SourceError) -> StackWatch.Look {
    var failure: StackError?
    do {
      for _ in 0..<Self.attempts {
        guard let look = try watch.look() else { continue }
        let isFrozen: Bool
        do throws(StackError) {
          isFrozen = try self.isFrozen(look.found)
        } catch {
          // What moves all the time tells so, too, when what it lies on was changed.
          guard look.found.isLive, !error.isGone else { throw error }
          failure = error
          continue
        }
        // What is seen of a volume that moves meanwhile tells nothing.
        // What moves all the time validates what is read of it.
        if !look.found.isLive, try !watch.isPresent(look) { continue }
        guard isFrozen else {
          throw SourceError.thawed(
            "\(look.stack.top.title) is not what was frozen: it was mounted, written or replaced")
        }
        do {
          // What led to this state is so whatever comes after it.
          if let departure = try departure(of: look) { throw SourceError.thawed(departure) }
        } catch let error as StackError {
          guard try watch.isPresent(look) else {
            failure = error
            continue
          }
          throw error
        }
        return look
      }
    } catch {
      switch error {
      case let error as SourceError: throw error
      case let error as StackError where error.isGone: throw .thawed(error.description)
      case let error as StackError where error.code == .unreachable:
        throw .unreachable(error.description)
      default: throw .failed("\(error)")
      }
    }
    throw .unreachable(failure?.description ?? "the stack of the image keeps changing")
  }

  /// How full the snapshot is that the image lies on, as its media tell.
  public func fill() -> SnapshotFill? { (try? current())?.found.fill() }

  private func isFrozen(_ found: FoundStack) throws(StackError) -> Bool {
    // Which file comes first changes with a move between physical volumes in files.
    guard found.pins.sorted() == image.pins.sorted(), found.content?.kind == image.kind else {
      return false
    }
    return try found.contentWitness() == image.witness
  }

  /// Why a stack that looks as the frozen one does may hold something else: a part of it
  /// belonged to somebody else meanwhile.
  private func departure(of look: StackWatch.Look) throws -> String? {
    let cursor = look.stack.cursor
    guard !cursor.isEmpty else { return nil }
    let known = try confirmed.withLock { $0 } ?? frozen()
    if known.cursor == cursor { return nil }
    if let departure = try look.stack.departure(since: known.cursor, frozen: known.frozen) {
      return departure
    }
    confirmed.withLock { $0 = Confirmed(cursor: cursor, frozen: known.frozen) }
    return nil
  }

  private func frozen() throws -> Confirmed {
    let representation = try representation()
    return Confirmed(
      cursor: representation.volumes.first?.state.cursor ?? [],
      frozen: representation.image.created.seconds)
  }

  /// Whether, at the last answer, the image lay on a raid, of which the kernel of the host that
  /// has it active may know more than the media show.
  var liesOnRaid: Bool { hasRaid.withLock { $0 } }

  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let look = try current()
    hasRaid.withLock { $0 = look.found.liesOnRaid }
    do {
      try requireWitness(of: look)
      return MappingAnswer(
        state: MappingState(configurationID: look.configurationID, cursor: look.stack.cursor),
        changes: .ranges([]), volume: try watch.volume(of: look, since: question.known),
        behind: look.behind(question, knowing: try media(of: question.known)), located: [])
    } catch {
      throw .failed("\(error)")
    }
  }

  /// A reader that trusts the witness must not be told of a state that it does not show.
  private func requireWitness(of look: StackWatch.Look) throws {
    guard look.stack.validation == .question,
      try representation().volumes.first?.validation == .witness
    else { return }
    throw StackError(
      .unsupported,
      "a part of the witness of \(look.stack.top.title) is no longer kept plainly on a medium, so "
        + "nothing would show the next change")
  }

  /// The media as the backup host knows them.
  private func media(of state: MappingState) throws -> [MediumDescription]? {
    if let known = watch.media(of: state.configurationID) { return known }
    // What was frozen, before this source was there.
    return try representation().volumes.first {
      $0.state.configurationID == state.configurationID
    }?.media
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    let look = try current()
    let count: Int
    do throws(StackError) {
      if inode == RawVolume.fileInode {
        count = try RawVolume.read(look.stack.top, offset: offset, into: buffer)
      } else if let content = look.found.content {
        count = try content.read(inode: inode, offset: offset, into: buffer)
      } else {
        throw StackError(.notFound, "the image has no inode \(inode)")
      }
    } catch {
      // What it lies on was moved, and is looked for anew by the next question.
      if look.found.isLive, error.code == .inUse { throw .unreachable(error.description) }
      throw .failed(error.description)
    }
    if look.found.isLive { return count }
    // What was read is the image's if nothing moved meanwhile.
    guard try current().configurationID == look.configurationID else {
      throw .unreachable("\(look.stack.top.title) moved while it was read")
    }
    return count
  }
}

extension FoundStack {
  /// What the file system's witness shows; of a raw volume, what shows that somebody took
  /// it into use.
  func contentWitness() throws(StackError) -> [UInt8] {
    try stack.top.counted(content?.witness ?? StackFinder.beginnings(of: stack.top))
  }
}
