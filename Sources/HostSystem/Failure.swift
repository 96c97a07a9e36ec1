/// Why something that somebody asked for cannot be done: one sentence that says what, where
/// and what to do.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) {
    self.description = description
  }
}
