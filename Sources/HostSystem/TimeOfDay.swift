public import FrozenImage
import Glibc

extension Timestamp {
  /// The present time of the host's clock (clock_gettime(2), CLOCK_REALTIME).
  public static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
  }
}
