import FrozenImage
import ImageReader
import SeededNumbers

// A second answerer: the storage itself, on the backup host. It looks at the media that the
// readers have open, in steps of its own between which anything may happen, and the production
// host answers other questions meanwhile.

extension Simulation {
  /// The generation that all media here show; `nil` when one is another device, cannot be read,
  /// or shows another moment.
  private var shownHere: UInt64? {
    let members = volume.members
    guard members.allSatisfy({ media.installed[$0].device == .medium && !failing.contains($0) }),
      Set(members.map { volume.witness[$0] }).count == 1
    else { return nil }
    return volume.witness[0]
  }

  /// Asks the storage, or the production host: of a file system only that host tells. Where the
  /// media do not tell, it is asked, too.
  mutating func ask(_ index: Int, _ question: MappingQuestion) {
    guard storageShare > 0, volume.layout == .storeExtents, random.chance(storageShare),
      let seen = shownHere
    else {
      readers[index].activity = .asking(question)
      return
    }
    readers[index].activity = .mapped(question, at: seen, volume.committed())
  }

  /// The second look: what was mapped in between counts when both are equal.
  mutating func answerFromStorage(
    _ index: Int, _ question: MappingQuestion, _ seen: UInt64, _ mapped: SimulatedVolume
  ) throws {
    // One that tags what it mapped with what it sees afterwards.
    let isLate = mutation == .storageTagsLate
    guard let now = shownHere, now == seen || isLate else {
      readers[index].activity = .asking(question)
      return
    }
    guard !mapped.isThawed else {
      readers[index].activity = .replied(
        .failure(.thawed("the media show no image")), to: question, at: self.now)
      return
    }
    guard let answer = try mapped.answer(question, at: now) else {
      readers[index].activity = .asking(question)
      return
    }
    report.storageAnswers += 1
    // What the readers found on a medium is what that medium showed, now or earlier.
    let own = MappingAnswer(
      state: answer.state, changes: answer.changes, volume: answer.volume, behind: [],
      located: answer.located)
    readers[index].activity = .replied(.success(own), to: question, at: self.now)
  }
}
