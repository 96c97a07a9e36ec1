import CFuse3
import Glibc
import SystemPackage

/// The right, and the duty, to answer one request.
///
/// Every way to answer consumes the reply, and a reply that goes out of scope
/// answers EIO: a request is answered exactly once, whatever path the code takes.
/// What libfuse returns is of no use: it fails when the reader went away, and frees
/// the request all the same.
struct Reply: ~Copyable {
  private let request: OpaquePointer

  init(_ request: OpaquePointer) {
    self.request = request
  }

  deinit {
    fuse_reply_err(request, EIO)
  }

  /// The user who made the request.
  var user: uid_t { fuse_req_ctx(request)?.pointee.uid ?? uid_t.max }

  /// Answers with an error.
  consuming func failure(_ error: Errno) {
    let request = release()
    fuse_reply_err(request, error.rawValue)
  }

  /// Answers that it is done, where there is nothing else to tell.
  consuming func done() {
    let request = release()
    fuse_reply_err(request, 0)
  }

  /// Ends a request that expects no answer (forget).
  consuming func none() {
    let request = release()
    fuse_reply_none(request)
  }

  consuming func entry(_ entry: fuse_entry_param) {
    let request = release()
    withUnsafePointer(to: entry) { _ = fuse_reply_entry(request, $0) }
  }

  /// - Parameter timeout: seconds for which the kernel may keep the attributes.
  consuming func attributes(_ status: stat, timeout: Double) {
    let request = release()
    withUnsafePointer(to: status) { _ = fuse_reply_attr(request, $0, timeout) }
  }

  consuming func open(_ file: fuse_file_info) {
    let request = release()
    withUnsafePointer(to: file) { _ = fuse_reply_open(request, $0) }
  }

  /// Answers with bytes: of a file, a directory, an attribute's value, a link's target.
  consuming func bytes(_ bytes: UnsafeRawBufferPointer) {
    let request = release()
    fuse_reply_buf(request, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
  }

  /// Answers how many bytes an extended attribute or the list of them has.
  consuming func attributeSize(_ count: Int) {
    let request = release()
    fuse_reply_xattr(request, count)
  }

  consuming func statistics(_ statistics: statvfs) {
    let request = release()
    withUnsafePointer(to: statistics) { _ = fuse_reply_statfs(request, $0) }
  }

  consuming func position(_ offset: off_t) {
    let request = release()
    fuse_reply_lseek(request, offset)
  }

  /// Packs a directory entry into the free part of a buffer.
  ///
  /// - Returns: the bytes that the entry takes; nothing was written when the free
  ///   part has fewer.
  borrowing func pack(
    _ name: UnsafePointer<CChar>, _ status: stat, next: off_t,
    into free: UnsafeMutableRawBufferPointer
  ) -> Int {
    withUnsafePointer(to: status) {
      fuse_add_direntry(
        request, free.baseAddress?.assumingMemoryBound(to: CChar.self), free.count, name, $0, next)
    }
  }

  /// As `pack(_:_:next:into:)`, with all that a lookup of the entry would answer.
  borrowing func pack(
    _ name: UnsafePointer<CChar>, _ entry: fuse_entry_param, next: off_t,
    into free: UnsafeMutableRawBufferPointer
  ) -> Int {
    withUnsafePointer(to: entry) {
      fuse_add_direntry_plus(
        request, free.baseAddress?.assumingMemoryBound(to: CChar.self), free.count, name, $0, next)
    }
  }

  private consuming func release() -> OpaquePointer {
    let request = request
    discard self
    return request
  }
}
