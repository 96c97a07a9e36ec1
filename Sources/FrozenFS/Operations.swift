import CFuse3
import Glibc
import SystemPackage

// The table through which libfuse calls. Each entry turns C's arguments into Swift's
// and hands the request to the FrozenFileSystem that the session was made with.

/// What libfuse calls for each kind of request.
func makeOperations() -> fuse_lowlevel_ops {
  var operations = fuse_lowlevel_ops()
  operations.`init` = { _, connection in
    guard let connection else { return }
    negotiate(&connection.pointee)
  }
  addMetadata(to: &operations)
  addDirectories(to: &operations)
  addFiles(to: &operations)
  refuseWrites(in: &operations)
  return operations
}

/// Settles with the kernel how requests come.
private func negotiate(_ connection: inout fuse_conn_info) {
  let unwanted: Int32 =
    // Would let the kernel cut a file to nothing on its own, before we could refuse.
    FUSE_CAP_ATOMIC_O_TRUNC
    // Would ask for attributes before reads, to see whether cached pages are still
    // right; those of a frozen image are.
    | FUSE_CAP_AUTO_INVAL_DATA
    // Would fetch attributes with names only where the kernel guesses that they are
    // wanted. A copy tool wants all of them, and asking for each one is what takes
    // time: with this on, `find -ls` takes two to four times as long.
    | FUSE_CAP_READDIRPLUS_AUTO
  let wanted: Int32 =
    FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS
    | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA
    | FUSE_CAP_POSIX_ACL
  connection.want &= ~UInt32(bitPattern: unwanted)
  connection.want |= UInt32(bitPattern: wanted) & connection.capable
  // Read-ahead of a few files at once: 4 MiB each in requests of 1 MiB. Fewer than there
  // are threads (`SessionLoop`): while they wait, somebody has to answer the others.
  connection.max_background = 24
  connection.congestion_threshold = 18
}

/// The file system that a request is for.
private func fileSystem(of request: OpaquePointer) -> FrozenFileSystem? {
  fuse_req_userdata(request).map {
    Unmanaged<FrozenFileSystem>.fromOpaque($0).takeUnretainedValue()
  }
}

/// The bytes of a C string.
private func bytes(_ string: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(start: string, count: strlen(string))
}

private func addMetadata(to operations: inout fuse_lowlevel_ops) {
  operations.lookup = { request, parent, name in
    guard let request else { return }
    let reply = Reply(request)
    guard let name, let files = fileSystem(of: request) else { return }
    files.lookup(bytes(name), in: parent, reply)
  }
  // Nodes live as long as the image: there is nothing to count and nothing to forget.
  operations.forget = { request, _, _ in
    if let request { Reply(request).none() }
  }
  operations.forget_multi = { request, _, _ in
    if let request { Reply(request).none() }
  }
  operations.getattr = { request, number, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.attributes(of: number, reply)
  }
  operations.readlink = { request, number in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.symbolicLink(number, reply)
  }
  operations.statfs = { request, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.statistics(reply)
  }
  operations.getxattr = { request, number, name, size in
    guard let request else { return }
    let reply = Reply(request)
    guard let name, let files = fileSystem(of: request) else { return }
    files.extendedAttribute(bytes(name), of: number, size: size, reply)
  }
  operations.listxattr = { request, number, size in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.extendedAttributeNames(of: number, size: size, reply)
  }
}

private func addDirectories(to operations: inout fuse_lowlevel_ops) {
  operations.opendir = { request, _, file in
    guard let request else { return }
    let reply = Reply(request)
    guard var file = file?.pointee else { return }
    // The kernel keeps the entries from one open to the next, since they stay right.
    file.keep_cache = 1
    file.cache_readdir = 1
    reply.open(file)
  }
  operations.readdir = { request, number, size, offset, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.readDirectory(number, size: size, from: offset, plus: false, reply)
  }
  operations.readdirplus = { request, number, size, offset, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.readDirectory(number, size: size, from: offset, plus: true, reply)
  }
  operations.releasedir = { request, _, _ in
    if let request { Reply(request).done() }
  }
}

private func addFiles(to operations: inout fuse_lowlevel_ops) {
  operations.open = { request, _, file in
    guard let request else { return }
    let reply = Reply(request)
    guard let file = file?.pointee else { return }
    fileSystem(of: request)?.open(file, reply)
  }
  operations.read = { request, number, size, offset, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.read(number, size: size, at: offset, reply)
  }
  operations.release = { request, _, _ in
    if let request { Reply(request).done() }
  }
  operations.lseek = { request, number, offset, whence, _ in
    guard let request else { return }
    let reply = Reply(request)
    fileSystem(of: request)?.seek(number, from: offset, whence: whence, reply)
  }
}

/// The kernel refuses writes to a read-only mount itself. Should one come all the
/// same (root can remount it writable), the answer is EROFS and not ENOSYS.
private func refuseWrites(in operations: inout fuse_lowlevel_ops) {
  operations.setattr = { request, _, _, _, _ in refuse(request) }
  operations.mknod = { request, _, _, _, _ in refuse(request) }
  operations.mkdir = { request, _, _, _ in refuse(request) }
  operations.unlink = { request, _, _ in refuse(request) }
  operations.rmdir = { request, _, _ in refuse(request) }
  operations.symlink = { request, _, _, _ in refuse(request) }
  operations.rename = { request, _, _, _, _, _ in refuse(request) }
  operations.link = { request, _, _, _ in refuse(request) }
  operations.create = { request, _, _, _, _ in refuse(request) }
  operations.write = { request, _, _, _, _, _ in refuse(request) }
  operations.setxattr = { request, _, _, _, _, _ in refuse(request) }
  operations.removexattr = { request, _, _ in refuse(request) }
  operations.fallocate = { request, _, _, _, _, _ in refuse(request) }
}

private func refuse(_ request: OpaquePointer?) {
  if let request { Reply(request).failure(.readOnlyFileSystem) }
}
