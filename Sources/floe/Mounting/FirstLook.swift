import FrozenImage
import Glibc
import ImageReader
import Logging
import LogicalRepresentation
import VerifiedReading

/// What a mount knows about its reads before the first one: they may all be bound to fail.
struct FirstLook {
  private let image: OpenedImage
  private let problem: SourceError?

  init(at reader: BlockingReader, image: OpenedImage) {
    self.image = image
    var problem = reader.firstLook()
    if image.questions is NoQuestions {
      // Perhaps a commit was half on the media.
      for _ in 0..<5 where problem != nil {
        usleep(200_000)
        problem = reader.firstLook()
      }
    }
    self.problem = problem
  }

  /// Warns when reads fail until the production host answers.
  ///
  /// - Throws: `Failure` when every read of the media would fail, for good.
  func report() throws(Failure) {
    let name = image.representation.image.name
    switch problem {
    case nil: return
    case .thawed(let reason)?: throw Failure("“\(name)” is no longer frozen: \(reason)")
    case .failed(let reason)? where image.questions is NoQuestions:
      throw Failure("every read of “\(name)” would fail: \(reason)")
    case .failed?, .unreachable?:
      let sentence =
        "what “\(name)” lies on changed since it was frozen, or cannot be validated without the "
        + "production host: reads fail until it answers (\(problem.map { "\($0)" } ?? ""))"
      Logger(label: "floe.mount").warning("\(sentence)")
      // From the background the log goes elsewhere, and who mounts still listens here.
      if LogDestination.isElsewhere { printError("floe: warning: \(sentence)") }
    }
  }
}
