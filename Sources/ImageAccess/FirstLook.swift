import FrozenImage
import Glibc
package import HostSystem
import ImageReader
import LogicalRepresentation
package import VerifiedReading

/// What is known about the reads of an image before the first one: they may all be bound to
/// fail.
package struct FirstLook {
  private let image: OpenedImage
  private let problem: SourceError?

  /// Reads the witness on the media, and asks the production host where that differs. Blocks;
  /// where nobody can be asked, it looks again for a second.
  package init(at reader: BlockingReader, image: OpenedImage) {
    self.image = image
    var problem = reader.firstLook()
    if !image.hasProductionHost {
      // Perhaps a commit was half on the media.
      for _ in 0..<5 where problem != nil {
        usleep(200_000)
        problem = reader.firstLook()
      }
    }
    self.problem = problem
  }

  /// - Returns: why reads fail until the production host answers; `nil` when they do not.
  /// - Throws: `Failure` when every read of the media would fail, for good.
  package func warning() throws(Failure) -> String? {
    let name = image.representation.image.name
    switch problem {
    case nil: return nil
    case .thawed(let reason)?: throw Failure(.thawed, "“\(name)” is no longer frozen: \(reason)")
    case .failed(let reason)? where !image.hasProductionHost:
      throw Failure(.failed, "every read of “\(name)” would fail: \(reason)")
    case .failed?, .unreachable?:
      return
        "what “\(name)” lies on changed since it was frozen, or cannot be validated without the "
        + "production host: reads fail until it answers (\(problem.map { "\($0)" } ?? ""))"
    }
  }
}
