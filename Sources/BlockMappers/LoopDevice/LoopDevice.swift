import CLinuxIO
public import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import SystemPackage
public import VolumeLayers

/// A loop device: a block device whose bytes a file holds.
public enum LoopDevice {
  /// The file behind a loop device.
  public struct Backing: Hashable, Sendable {
    /// Absolute, as sysfs tells it (`loop/backing_file`).
    public let path: String
    /// Bytes from the start of the file.
    public let offset: UInt64
    /// Bytes of the file that the device shows; `nil`: all to its end.
    public let sizeLimit: UInt64?
  }

  /// What the kernel reads for a device (linux/loop.h, LOOP_GET_STATUS64; the path from
  /// sysfs, as the ioctl cuts it after 63 bytes).
  ///
  /// - Returns: `nil` when the path is no loop device.
  /// - Throws: `StackError` when the device cannot be opened or has no file, or its file
  ///   was deleted or replaced by another.
  public static func backing(ofDevice path: String) throws(StackError) -> Backing? {
    var status = stat()
    // LOOP_MAJOR of linux/major.h. A partition of a loop device has a major number of
    // its own, or no directory `loop`.
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK,
      UInt64(status.st_rdev) >> 8 & 0xFFF == 7
    else { return nil }
    let device = UInt64(status.st_rdev)
    let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
    let directory = "/sys/dev/block/7:\(minor)"
    if access(directory + "/partition", F_OK) == 0 { return nil }
    let loop = try self.status(ofDevice: path)
    let file = try backingFile(in: directory, of: path)
    var found = stat()
    guard stat(file, &found) == 0, UInt64(found.st_dev) == loop.device,
      UInt64(found.st_ino) == loop.inode
    else {
      throw StackError(
        .notFound,
        "the file behind the loop device \(path) is no longer found at \(file): it was deleted or replaced"
      )
    }
    return Backing(
      path: file, offset: loop.offset, sizeLimit: loop.size_limit == 0 ? nil : loop.size_limit)
  }

  /// The device as a layer over its file, which a backup host can reach where it cannot
  /// reach the device. It keeps the sectors that the device has and the file does not tell.
  ///
  /// - Returns: `nil` when the path is no loop device.
  /// - Throws: as `backing(ofDevice:)`, and when the file cannot be read or is shorter
  ///   than what the device shows.
  public static func layer(ofDevice path: String) throws(StackError) -> Layer? {
    guard let backing = try backing(ofDevice: path) else { return nil }
    let file: OpenMedium
    let device: OpenMedium
    do throws(MediumError) {
      file = try OpenMedium(path: backing.path)
      device = try OpenMedium(path: path)
    } catch {
      throw StackError(error)
    }
    let size = device.size
    guard backing.offset <= file.size, size <= file.size - backing.offset else {
      throw StackError(
        .malformed,
        "the loop device \(path) shows \(size) bytes, but its file \(backing.path) was cut short")
    }
    if backing.offset == 0, size == file.size {
      return Layer(file, sectorSize: device.sectorSize)
    }
    let runs: [LayerRun] =
      size == 0 ? [] : [.linear(0..<size, at: LayerAddress(layer: 0, offset: backing.offset))]
    return Layer(
      try LayerMap(
        title: "loop device \(path)", size: size, lower: [Layer(file)], runs: runs,
        sectorSize: device.sectorSize))
  }

  private static func status(ofDevice path: String) throws(StackError) -> floe_loop_status {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw StackError("the loop device \(path) cannot be opened", cause: Errno(rawValue: errno))
    }
    defer { close(descriptor) }
    var loop = floe_loop_status()
    guard floe_loop_status(descriptor, &loop) == 0 else {
      throw StackError(
        errno == ENXIO
          ? "the loop device \(path) has no file"
          : "the loop device \(path) does not tell its file", cause: Errno(rawValue: errno))
    }
    return loop
  }

  private static func backingFile(
    in directory: String, of path: String
  ) throws(StackError) -> String {
    var bytes = [UInt8](repeating: 0, count: 8192)
    let descriptor = open(directory + "/loop/backing_file", O_RDONLY | O_CLOEXEC)
    let count = descriptor < 0 ? -1 : read(descriptor, &bytes, bytes.count)
    if descriptor >= 0 { close(descriptor) }
    guard count > 1, bytes[count - 1] == UInt8(ascii: "\n") else {
      throw StackError(.unsupported, "sysfs does not tell the file behind the loop device \(path)")
    }
    return PathText.text(of: bytes[..<(count - 1)])
  }
}
