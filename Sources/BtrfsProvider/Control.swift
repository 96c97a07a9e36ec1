import CBtrfs
import FrozenImage
import Glibc
import SystemPackage

/// Calls of btrfs' control interface (`ioctl(2)`, linux/btrfs.h).
extension FileDescriptor {
  /// Calls with a zeroed argument of `size` bytes that `fill` completes, and gives
  /// what `read` makes of the argument afterwards.
  func control<Result>(
    _ request: UInt, size: Int,
    fill: (UnsafeMutableRawBufferPointer) -> Void = { _ in },
    read: (UnsafeRawBufferPointer) -> Result
  ) throws(Errno) -> Result {
    let argument = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
    defer { argument.deallocate() }
    argument.initializeMemory(as: UInt8.self, repeating: 0)
    fill(argument)
    try control(request, argument)
    return read(UnsafeRawBufferPointer(argument))
  }

  /// Calls again when a signal interrupts.
  func control(_ request: UInt, _ argument: UnsafeMutableRawBufferPointer) throws(Errno) {
    while cbtrfs_ioctl(rawValue, request, argument.baseAddress) < 0 {
      let error = Errno(rawValue: errno)
      guard error == .interrupted else { throw error }
    }
  }

  /// Makes everything that this thread saw in the file system's trees durable:
  /// commits the running transaction, if there is one, and waits until the
  /// superblocks are on the media. Delayed file data is not flushed.
  func commitTransaction() throws(BtrfsError) {
    do {
      let transaction = try control(CBTRFS_START_SYNC, size: 8) { $0.number(at: 0) ?? UInt64(0) }
      try control(
        CBTRFS_WAIT_SYNC, size: 8, fill: { $0.setNative(transaction, at: 0) }, read: { _ in })
    } catch {
      throw BtrfsError(cannot: "commit the btrfs transaction", error)
    }
  }
}
