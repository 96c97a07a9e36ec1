public import Glibc

/// A value behind a lock, with a condition to wait on.
///
/// The standard library's `Mutex` has no condition, and the read rule's driver has
/// to sleep until another thread's check or question finished. It is also the lock for what
/// every read takes: `Mutex` spins, and then hands itself over from thread to thread
/// (FUTEX_LOCK_PI), so that with more readers than processors each of them sleeps for each
/// lock; of this one (pthread_mutex_lock(3)) whoever runs may take hold.
public final class Monitor<Value: Sendable>: @unchecked Sendable {
  // Unchecked: `value` is touched only between lock and unlock of `mutex`.
  @usableFromInline var value: Value
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline let condition: UnsafeMutablePointer<pthread_cond_t>

  /// The condition waits by the monotonic clock, which nobody sets.
  public init(_ value: Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs the body with the lock held.
  @inlinable
  public func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  /// Runs the body with the lock held until it returns something; sleeps between
  /// two runs until `notifyAll`, or until the time that the body names.
  @inlinable
  public func wait<Result>(for body: (inout Value) -> WaitOutcome<Result>) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      switch body(&value) {
      case .done(let result): return result
      case .wait: pthread_cond_wait(condition, mutex)
      case .waitUntil(let time):
        var deadline = timespec(
          tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        pthread_cond_timedwait(condition, mutex, &deadline)
      }
    }
  }

  /// Wakes everybody who waits.
  @inlinable
  public func notifyAll() {
    pthread_cond_broadcast(condition)
  }
}

/// What a body of `Monitor.wait` wants.
public enum WaitOutcome<Result> {
  case done(Result)
  case wait
  /// Nanoseconds of `MonotonicClock`.
  case waitUntil(UInt64)
}

/// Nanoseconds of CLOCK_MONOTONIC (clock_gettime(2)).
public enum MonotonicClock {
  /// From a point in the past that stays the same until the host starts again.
  public static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
