import CLinuxIO
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

extension StackViews {
  /// Writes out what the kernel keeps of the bytes in the caches of devices and files, those
  /// first that lie on others.
  ///
  /// - Returns: devices that this user may not open, so that what was written to them may
  ///   still be in their caches.
  /// - Throws: `StackError` when something cannot be written out.
  @discardableResult
  func flush() throws(StackError) -> [KernelDevice] {
    var closed: [KernelDevice] = []
    for device in devices where !device.isReadOnly {
      if try !Self.flush(device.path) { closed.append(device) }
    }
    for path in files.values.sorted() { _ = try Self.flush(path) }
    return closed
  }

  /// - Returns: `false` when this user may not open it.
  private static func flush(_ path: String) throws(StackError) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      // A device without a node in /dev, or without a medium, has nothing to write out.
      if errno == ENOENT || errno == ENOMEDIUM || errno == ENXIO { return true }
      if errno == EACCES || errno == EPERM { return false }
      throw StackError(cannot: "open \(path)", Errno(rawValue: errno))
    }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
      throw StackError(cannot: "write out what is cached of \(path)", Errno(rawValue: errno))
    }
    return true
  }

  /// Throws when somebody may write the bytes, as far as the kernel tells.
  ///
  /// - Parameter promised: whether the user promises that file systems on them, and others
  ///   that the kernel itself writes for, rest.
  func requireNoWriter(promised: Bool) throws(StackError) {
    let nodes = Set(devices.map { .device($0.number) }).union(files.keys)
    if let writer = OpenWriter.find(of: nodes) {
      throw StackError(
        .inUse,
        "\(path(of: writer.node)) is open for writing by process \(writer.process) "
          + "(\(writer.command)), so it does not rest: let that program close it or end, and freeze "
          + "again")
    }
    if !promised {
      try requireNoMount()
      try requireNoSwap(nodes)
      try requireNoClaim()
    }
    try requireNoHiddenWriter()
  }

  private func path(of node: KernelDevice.Node) -> String {
    devices.first { .device($0.number) == node }?.path ?? files[node] ?? "a file of it"
  }

  /// Mounts in every mount namespace that can be looked into.
  private func requireNoMount() throws(StackError) {
    for mount in MountedDevice.all() where mount.isWritable {
      guard let device = devices.first(where: { $0.number == mount.device }) else { continue }
      throw StackError(
        .inUse,
        "\(device.path) is mounted read-write at \(mount.path), so it does not rest: unmount it, or "
          + "remount it read-only")
    }
  }

  private func requireNoSwap(_ nodes: Set<KernelDevice.Node>) throws(StackError) {
    guard let text = try? CompleteFile.read("/proc/swaps") else { return }
    for line in text.split(separator: UInt8(ascii: "\n")).dropFirst() {
      guard let name = line.split(separator: UInt8(ascii: " ")).first,
        let node = KernelDevice.Node(at: String(decoding: name, as: UTF8.self)),
        nodes.contains(node)
      else { continue }
      throw StackError(.inUse, "\(path(of: node)) is in use as swap space, so it does not rest")
    }
  }

  /// Mounted, in a namespace that is not seen, or in another use of the kernel's.
  private func requireNoClaim() throws(StackError) {
    let mounted = Set(MountedDevice.all().map(\.device))
    for device in tops where !mounted.contains(device.number) {
      let descriptor = open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK)
      if descriptor >= 0 {
        close(descriptor)
      } else if errno == EBUSY {
        throw StackError(
          .inUse,
          "\(device.path) is in use by the kernel (mounted in another container, part of an array "
            + "or a target), so nothing shows that it rests; --assume-frozen takes it, and you "
            + "promise that nobody writes it")
      }
    }
  }

  /// A lease for reading is given only where nobody has the file open for writing, whoever
  /// it is (fcntl(2), F_SETLEASE). The kernel itself has the file of a loop device open so,
  /// and then tells nothing of others.
  private func requireNoHiddenWriter() throws(StackError) {
    for (node, path) in files {
      let isShown = devices.contains { device in
        !device.isReadOnly && device.below.contains { $0.node == node }
      }
      guard !isShown else { continue }
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      guard floe_is_open_for_writing(descriptor) == 1 else { continue }
      throw StackError(
        .inUse,
        "\(path) is open for writing by somebody whom this user cannot see (another user's "
          + "process, one in a container, or the kernel), so it does not rest; root sees more")
    }
  }
}
