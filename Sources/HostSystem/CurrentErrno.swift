import Glibc
package import SystemPackage

extension Errno {
  /// The calling thread's errno.
  package static var current: Errno { Errno(rawValue: errno) }
}
