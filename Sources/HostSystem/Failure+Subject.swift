import FrozenImage

extension Failure {
  /// An error that says what it is about: many come from deep below, where nobody knows the
  /// path that the user typed.
  ///
  /// - Parameters:
  ///   - subject: goes before a message that does not name it.
  ///   - names: of the subject, one of which is enough in a message.
  public static func about(
    _ subject: String, alias names: [String] = [], _ error: any Error
  ) -> any Error {
    if error is Interrupted { return error }
    let message = "\(error)"
    let isNamed = ([subject] + names).contains { !$0.isEmpty && message.contains($0) }
    return isNamed ? error : Failure("\(subject)", cause: error)
  }
}
