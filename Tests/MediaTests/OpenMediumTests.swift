import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import TestTags
import Testing

@Suite struct OpenMediumTests {
  /// Reads at random places, aligned and not, into memory that is aligned and not.
  private func readAnywhere(_ medium: OpenMedium, _ file: RandomFile) throws {
    #expect(medium.size == UInt64(file.bytes.count))
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { memory.deallocate() }
    for turn in 0..<300 {
      let isAligned = turn % 2 == 0
      let unit = isAligned ? 4096 : 1
      let offset = Int.random(in: 0..<file.bytes.count / unit) * unit
      let limit = min(file.bytes.count - offset, memory.count - 8)
      let count = max(unit, Int.random(in: 1...limit) / unit * unit)
      let shift = isAligned ? 0 : Int.random(in: 0..<8)
      let target = UnsafeMutableRawBufferPointer(rebasing: memory[shift..<shift + count])
      try medium.read(into: target, at: UInt64(offset))
      #expect(
        target.elementsEqual(file.bytes[offset..<offset + count]),
        "\(count) bytes at \(offset), shift \(shift)")
    }
  }

  @Test func readsAFileAtAnyPlace() throws {
    let file = try RandomFile(count: 3 << 20)
    try readAnywhere(OpenMedium(path: file.path), file)
  }

  @Test(
    .tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices),
    arguments: [512, 4096])
  func readsABlockDeviceAtAnyPlace(sectorSize: Int) throws {
    let file = try RandomFile(count: 3 << 20)
    let device = try LoopDevice(over: file.path, sectorSize: sectorSize)
    try readAnywhere(OpenMedium(path: device.path), file)
  }

  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func doesNotSeeTheDevicesStalePageCache() throws {
    let file = try RandomFile(count: 1 << 20)
    let device = try LoopDevice(over: file.path)
    #expect(ChildProcess.run("sh", ["sh", "-c", "cat \(device.path) >/dev/null"]) == 0)
    let news = [UInt8](repeating: 0xA5, count: 4096)
    try file.write(news, at: 65536)
    let medium = try OpenMedium(path: device.path)
    var found = [UInt8](repeating: 0, count: 4096)
    try found.withUnsafeMutableBytes { try medium.read(into: $0, at: 65536) }
    #expect(found == news)
  }

  @Test func saysWhereAMediumEnds() throws {
    let file = try RandomFile(count: 1 << 20)
    let medium = try OpenMedium(path: file.path)
    truncate(file.path, 8192)
    var bytes = [UInt8](repeating: 0, count: 8192)
    let error = #expect(throws: MediumError.self) {
      try bytes.withUnsafeMutableBytes { try medium.read(into: $0, at: 4096) }
    }
    #expect(error?.offset == 8192)
    #expect(error?.description.contains("the medium ends there") == true)
  }

  @Test(arguments: [UInt64.max, UInt64(Int.max) - 100])
  func refusesPlacesBeyondAnyMedium(offset: UInt64) throws {
    let file = try RandomFile(count: 4096)
    let medium = try OpenMedium(path: file.path)
    var bytes = [UInt8](repeating: 0, count: 4096)
    #expect(throws: MediumError.self) {
      try bytes.withUnsafeMutableBytes { try medium.read(into: $0, at: offset) }
    }
  }

  @Test func refusesWhatIsNoMedium() {
    for path in ["/dev/null", "/tmp", "/dev/shm/floe-is-not-here"] {
      #expect(throws: MediumError.self) { try OpenMedium(path: path) }
    }
  }
}
