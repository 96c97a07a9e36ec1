/// What a check of this host found: what is so and, where it is not well, what that means and
/// what to do.
public struct Finding: Hashable, Sendable, Encodable {
  /// What was looked at.
  public enum Check: String, Hashable, Sendable, Encodable {
    /// The kernel's release.
    case kernel
    /// What mounting needs.
    case fuse
    /// This host's clock.
    case clock
    /// Services, and what asks them.
    case connection
    /// A device or a file that holds an image's bytes.
    case medium
    /// Whether this host keeps its hands off a medium.
    case bystander
  }

  /// How grave it is.
  public enum State: String, Hashable, Sendable, Encodable {
    /// As it should be.
    case ok
    /// Worth knowing; nothing fails because of it.
    case note
    /// Something fails, or data are in danger.
    case wrong
  }

  /// What was looked at.
  public let check: Check
  /// How grave it is.
  public let state: State
  /// A device, a file, an address; `nil` for this host as a whole.
  public let subject: String?
  /// What is so.
  public let what: String
  /// What follows from it; `nil` when it is well.
  public let meaning: String?
  /// What to do about it; `nil` when there is nothing to do.
  public let advice: String?

  private init(
    _ check: Check, _ state: State, _ subject: String?, _ what: String, _ meaning: String?,
    _ advice: String?
  ) {
    self.check = check
    self.state = state
    self.subject = subject
    self.what = what
    self.meaning = meaning
    self.advice = advice
  }

  /// All is well.
  public static func ok(_ check: Check, _ subject: String?, _ what: String) -> Finding {
    Finding(check, .ok, subject, what, nil, nil)
  }

  /// Worth knowing.
  public static func note(
    _ check: Check, _ subject: String?, _ what: String, meaning: String? = nil,
    advice: String? = nil
  ) -> Finding {
    Finding(check, .note, subject, what, meaning, advice)
  }

  /// Something is wrong.
  public static func wrong(
    _ check: Check, _ subject: String?, _ what: String, meaning: String, advice: String
  ) -> Finding {
    Finding(check, .wrong, subject, what, meaning, advice)
  }
}
