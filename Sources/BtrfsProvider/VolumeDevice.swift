import CBtrfs
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A device of the volume as this host sees it now.
struct VolumeDevice {
  let item: ChunkTree.Device
  /// Where this host sees it; empty when it is missing.
  let path: String
  /// What its primary superblock says; `nil` when it cannot be read, or is not
  /// that of this device of this volume.
  let superblock: Superblock?

  var medium: MediumID { MediumID(rawValue: item.uuid) }

  /// Whether it is a seed that is still one: nobody writes to it, so its superblock stays
  /// as it is while the volume goes on.
  var isSeed: Bool {
    superblock.map { $0.isSeed && $0.identity != expectedIdentity } ?? false
  }

  private let expectedIdentity: [UInt8]

  /// Asks the kernel where the device is and reads its superblock past the cache.
  init(
    _ item: ChunkTree.Device, of descriptor: FileDescriptor, fileSystem: UniqueIdentifier
  ) {
    self.item = item
    path = Self.path(of: item, descriptor)
    expectedIdentity = Superblock.identity(
      fileSystem: fileSystem, device: item.number, uuid: item.uuid)
    superblock = Self.superblock(at: path).flatMap { $0.isOf(item, in: fileSystem) ? $0 : nil }
  }

  /// The device's path; empty when the kernel does not have the device.
  private static func path(of item: ChunkTree.Device, _ descriptor: FileDescriptor) -> String {
    let found = try? descriptor.control(
      CBTRFS_DEV_INFO, size: Int(CBTRFS_DEV_INFO_SIZE),
      fill: { $0.setNative(item.number, at: Int(CBTRFS_DEV_INFO_DEVID)) },
      read: { argument -> (uuid: [UInt8], path: String) in
        let uuid = argument.run(at: Int(CBTRFS_DEV_INFO_UUID), count: 16).map(Array.init)
        let path = argument[Int(CBTRFS_DEV_INFO_PATH)...].prefix { $0 != 0 }
        return (uuid ?? [], PathText.text(of: path))
      })
    guard let found, found.uuid == item.uuid.bytes else { return "" }
    return found.path
  }

  /// Reads the primary superblock with O_DIRECT: what is on the medium, not what
  /// this host's page cache holds of it.
  private static func superblock(at path: String) -> Superblock? {
    guard path.hasPrefix("/"),
      let descriptor = try? FileDescriptor.open(
        FilePath(path), .readOnly,
        options: [.closeOnExec, FileDescriptor.OpenOptions(rawValue: cbtrfs_o_direct)])
    else { return nil }
    defer { try? descriptor.close() }
    let window = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Superblock.length, alignment: Superblock.length)
    defer { window.deallocate() }
    let count = try? descriptor.read(fromAbsoluteOffset: Int64(Superblock.offset), into: window)
    guard count == Superblock.length else { return nil }
    return Superblock(UnsafeRawBufferPointer(window))
  }

  /// The device for the backup host; `nil` only if the probes were malformed.
  func description() -> MediumDescription? {
    guard let identity = Superblock.identityProbe, let witness = Superblock.witnessProbe else {
      return nil
    }
    return MediumDescription(
      id: medium, label: "devid \(item.number)", size: item.size, path: path,
      hardwareID: Sysfs().hardwareID(ofDevice: path)?.description ?? "", identity: identity,
      identityBytes: superblock?.identity ?? expectedIdentity, witness: witness)
  }
}
