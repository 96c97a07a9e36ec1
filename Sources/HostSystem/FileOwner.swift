import CLinuxIO
public import Glibc
package import SystemPackage

/// A user whose right to read a file is asked for, because a file of his names it.
public struct FileOwner: Hashable, Sendable, CustomStringConvertible {
  /// As this host numbers users; the overflow user (65534) for anybody.
  public let user: uid_t
  /// The first one is the user's own; the others are those that he is a member of.
  let groups: [gid_t]
  /// Whether he stands for whoever may write a file.
  private let isAnybody: Bool

  /// The user and group that stand for nobody (the kernel's overflowuid, "nobody" in
  /// Debian's base-passwd).
  private static let nobody: UInt32 = 65534

  /// Whoever may write a file that more than one user may write.
  public static let anybody = FileOwner(user: nobody, groups: [nobody], isAnybody: true)

  /// Looks up the user's groups in the user database (getgrouplist(3)); a user that it does not
  /// know has nobody's.
  public init(user: uid_t) {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 65536)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
      // The user database does not know him: no group is his.
      self.init(user: user, groups: [Self.nobody])
      return
    }
    var groups = [gid_t](repeating: 0, count: 65536)
    var count = Int32(groups.count)
    guard getgrouplist(entry.pw_name, entry.pw_gid, &groups, &count) >= 0 else {
      self.init(user: user, groups: [entry.pw_gid])
      return
    }
    let others = groups.prefix(Int(count)).filter { $0 != entry.pw_gid }
    self.init(user: user, groups: [entry.pw_gid] + others)
  }

  private init(user: uid_t, groups: [gid_t], isAnybody: Bool = false) {
    self.user = user
    self.groups = groups
    self.isAnybody = isAnybody
  }

  /// Whether he may read everything, or is who runs this process, so that the kernel asks
  /// for his rights anyway.
  public var isTrusted: Bool { !isAnybody && (user == 0 || user == geteuid()) }

  public var description: String {
    if isAnybody { return "anybody (others than its owner may write it)" }
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 65536)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil,
      let name = entry.pw_name
    else { return "user \(user)" }
    return "user \(user) (\(String(cString: name)))"
  }

  /// Runs the body on a thread of its own that acts on files as this user, and as one who
  /// has no privilege.
  ///
  /// The thread ends with the body, so that its credentials are nobody else's (credentials(7):
  /// they belong to threads). Only the file system's user is changed, so that the user may
  /// not signal this process meanwhile, as he could with setuid(2).
  ///
  /// - Throws: `EPERM` when this process may not act as him.
  package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) throws(Errno) -> Value
  {
    if isTrusted { return body() }
    let outcome = Monitor<Result<Value, Errno>?>(nil)
    try Thread.detach { [self] in
      let isActing = floe_act_as(user, groups, groups.count) == 0
      let result: Result<Value, Errno> =
        isActing ? .success(body()) : .failure(.notPermitted)
      outcome.withLock { $0 = result }
      outcome.notifyAll()
    }
    let result: Result<Value, Errno> = outcome.wait { found in
      if let found { return .done(found) }
      return .wait
    }
    return try result.get()
  }
}
