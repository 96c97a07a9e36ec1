import CFuse3
import Glibc
import Synchronization
import SystemPackage

/// Readable from the moment a signal asked the process to end; -1 while nobody
/// listens.
private let requested = Atomic<Int32>(-1)

/// Turns SIGTERM, SIGINT and SIGHUP into a descriptor that becomes readable, for as
/// long as some mount is served.
///
/// The kernel may deliver a signal to any of the process's threads, most of which
/// know nothing of mounts; so the handler only writes to an eventfd, and each mount's
/// own thread waits on that. It stays readable: the signal ends every mount.
enum Termination {
  private struct State {
    var listeners = 0
    var previous: [(signal: Int32, action: sigaction)] = []
  }

  private static let state = Mutex(State())
  private static let signals = [SIGTERM, SIGINT, SIGHUP]

  /// Begins to listen, and gives the descriptor to wait on.
  static func listen() throws(Errno) -> Int32 {
    try state.withLock { state throws(Errno) in
      if state.listeners == 0 {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        requested.store(descriptor, ordering: .sequentiallyConsistent)
        state.previous = signals.compactMap(install)
      }
      state.listeners += 1
      return requested.load(ordering: .sequentiallyConsistent)
    }
  }

  /// Ends what `listen` began; the last one puts the signals' old actions back.
  static func stopListening() {
    state.withLock { state in
      state.listeners -= 1
      guard state.listeners == 0 else { return }
      for (signal, action) in state.previous {
        withUnsafePointer(to: action) { _ = sigaction(signal, $0, nil) }
      }
      state.previous = []
      close(requested.exchange(-1, ordering: .sequentiallyConsistent))
    }
  }

  /// Installs the handler for a signal, unless it is ignored on purpose (nohup).
  private static func install(for signal: Int32) -> (signal: Int32, action: sigaction)? {
    var previous = sigaction()
    guard sigaction(signal, nil, &previous) == 0 else { return nil }
    // SIGTERM is taken in any case: it is also what wakes libfuse's loop.
    if signal != SIGTERM, isIgnored(previous) { return nil }
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      let saved = errno
      var one: UInt64 = 1
      write(requested.load(ordering: .sequentiallyConsistent), &one, 8)
      errno = saved
    }
    // Without SA_RESTART, so that the semaphore that libfuse's loop waits on is left.
    action.sa_flags = 0
    return sigaction(signal, &action, nil) == 0 ? (signal, previous) : nil
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    // C's function pointers compare, Swift's do not.
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self)
      == unsafeBitCast(SIG_IGN, to: UInt.self)
  }
}
