import Glibc
import HostSystem

/// What the tests of block devices need.
enum Privilege {
  /// Loop devices can be made; says loudly what is missing. In CI the tests run
  /// whatever is missing, and fail.
  static let loopDevices: Bool = {
    if geteuid() == 0, access("/dev/loop-control", R_OK | W_OK) == 0 { return true }
    if getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: tests of block devices need root and /dev/loop-control")
    return false
  }()
}

/// A loop device over a file, gone with the object.
final class LoopDevice {
  let path: String

  struct Failure: Error {}

  init(over file: String, sectorSize: Int = 512) throws {
    let answer = "\(file).loop"
    defer { unlink(answer) }
    let status = ChildProcess.run(
      "sh", ["sh", "-c", "losetup -b \(sectorSize) -f --show '\(file)' >'\(answer)'"])
    guard status == 0, let stream = fopen(answer, "r") else { throw Failure() }
    defer { fclose(stream) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, stream) != nil else { throw Failure() }
    path = String(
      decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    _ = ChildProcess.run("losetup", ["losetup", "-d", path])
  }
}

/// A file of random bytes, gone with the object.
final class RandomFile {
  let path: String
  let bytes: [UInt8]

  init(count: Int, on directory: String = "/dev/shm") throws {
    path = "\(directory)/floe-medium-\(UInt64.random(in: 0 ... .max))"
    bytes = (0..<count / 8).flatMap { _ in
      withUnsafeBytes(of: UInt64.random(in: 0 ... .max)) { Array($0) }
    }
    try write(bytes, at: 0)
  }

  func write(_ bytes: [UInt8], at offset: Int) throws {
    guard let stream = fopen(path, offset == 0 && bytes.count == self.bytes.count ? "w" : "r+")
    else { throw LoopDevice.Failure() }
    defer { fclose(stream) }
    fseek(stream, offset, SEEK_SET)
    guard fwrite(bytes, 1, bytes.count, stream) == bytes.count else { throw LoopDevice.Failure() }
  }

  deinit {
    unlink(path)
  }
}
