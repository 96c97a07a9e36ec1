import FrozenImage
import Synchronization

/// Finds what a tree's device lies on, again whenever a witness shows that it may have
/// moved.
final class StackWatch: Sendable {
  /// Times that the stack is looked for while it keeps changing.
  private static let attempts = 5

  /// A stack as it is under one configuration ID.
  struct Look: Sendable {
    let stack: Stack
    let configurationID: ConfigurationID
  }

  private let find: @Sendable () throws -> Stack
  private let last = Mutex<Look?>(nil)

  init(_ find: @escaping @Sendable () throws -> Stack) {
    self.find = find
  }

  /// The present stack; `nil` when it keeps changing.
  func look() throws -> Look? {
    if let known = last.withLock({ $0 }), try isPresent(known) { return known }
    for _ in 0..<Self.attempts {
      // The ID is read before the stack that it is to belong to is looked for; the
      // media themselves do not change from one look to the next, or it differs.
      let before = try find().configurationID()
      let stack = try find()
      let look = Look(stack: stack, configurationID: before)
      guard try isPresent(look) else { continue }
      last.withLock { $0 = look }
      return look
    }
    return nil
  }

  /// Whether a look still holds.
  func isPresent(_ look: Look) throws(StackError) -> Bool {
    try look.stack.configurationID() == look.configurationID
  }
}
