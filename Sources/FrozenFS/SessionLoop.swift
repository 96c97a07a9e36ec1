import CFuse3
import Glibc
import SystemPackage

/// libfuse's loop on a thread of its own, so that the thread that serves a mount can
/// look at the mount from outside and wait for signals meanwhile.
final class SessionLoop {
  /// Most threads that answer requests. A read may wait for the storage or for an
  /// updated mapping; the others must be able to go on.
  private static let maximumThreads: UInt32 = 32

  private let session: OpaquePointer
  /// An eventfd, readable when the loop has ended.
  private let finished: Int32
  private var thread = pthread_t()
  /// What libfuse's loop gave: 0, or an errno with either sign. Belongs to the
  /// loop's thread until that is joined.
  private var result: Int32 = 0

  /// Begins to answer a session's requests; `end` must follow.
  init(_ session: OpaquePointer) throws(Errno) {
    self.session = session
    finished = eventfd(0, Int32(EFD_CLOEXEC))
    guard finished >= 0 else { throw Errno(rawValue: errno) }
    // Not retained: `end` joins the thread.
    let failure = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<SessionLoop>.fromOpaque(context).takeUnretainedValue().run()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
    guard failure == 0 else { throw Errno(rawValue: failure) }
  }

  deinit {
    close(finished)
  }

  private func run() {
    var wakeUp = sigset_t()
    sigemptyset(&wakeUp)
    sigaddset(&wakeUp, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &wakeUp, nil)
    let configuration = fuse_loop_cfg_create()
    fuse_loop_cfg_set_max_threads(configuration, Self.maximumThreads)
    result = fuse_session_loop_mt(session, configuration)
    fuse_loop_cfg_destroy(configuration)
    // At once: whoever waits for an answer that nobody will give gets an error.
    fuse_session_unmount(session)
    var one: UInt64 = 1
    write(finished, &one, 8)
  }

  /// Waits until the loop ends: because of an unmount, or made to end when a
  /// descriptor becomes readable (`nil`: now). Requests under way are answered first.
  ///
  /// - Throws: what libfuse's loop failed with.
  func end(whenReadable descriptor: Int32?) throws(Errno) {
    var isStopping = descriptor == nil
    while true {
      if isStopping {
        fuse_session_exit(session)
        // Leaves the semaphore that the loop waits on. The signal may come just before
        // the loop begins to wait, so it is sent again until the loop has ended.
        pthread_kill(thread, SIGTERM)
      }
      var waits = [
        pollfd(fd: finished, events: Int16(POLLIN), revents: 0),
        pollfd(fd: descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      poll(&waits, isStopping ? 1 : 2, isStopping ? 20 : -1)
      if waits[0].revents != 0 { break }
      isStopping = isStopping || waits[1].revents != 0
    }
    pthread_join(thread, nil)
    if result != 0 { throw Errno(rawValue: abs(result)) }
  }
}
