import FrozenImage
import ImageReader
import TestTags
import Testing

@testable import BlockMappers
@testable import VolumeLayers

@Suite(
  "Loop devices", .tags(.needsRoot, .needsLoopDevices), .serialized,
  .enabled(if: ImageTools.suffice("losetup", root: true)))
struct LoopDeviceTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  private func attach(_ options: String, _ name: String) throws -> String {
    try files.run("losetup -f --show \(options) '\(files.path(name))' 2>errors").trimmed
  }

  @Test(arguments: ["", "-o 4096", "-o 1M --sizelimit 512K", "--sizelimit 3M"])
  func rangeOfAFile(_ options: String) throws {
    // A name that the ioctl cuts.
    let name = String(repeating: "long name ", count: 12)
    try files.random("'\(name)'", count: (4 << 20) + 100)
    let device = try attach(options, name)
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    let backing = try #require(try LoopDevice.backing(ofDevice: device))
    #expect(backing.path == files.path(name))
    #expect(
      try shell("losetup -n -O OFFSET,SIZELIMIT \(device)").trimmed.split(separator: " ")
        == ["\(backing.offset)", "\(backing.sizeLimit ?? 0)"])
    let layer = try #require(try LoopDevice.layer(ofDevice: device))
    try expectConformance(of: layer, to: contents(of: Array(device.utf8)))
    #expect(layer.base?.medium.path == files.path(name))
  }

  @Test func wholeFileIsTheMediumItself() throws {
    try files.random("disk", count: 1 << 20)
    let device = try attach("", "disk")
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    let layer = try #require(try LoopDevice.layer(ofDevice: device))
    guard case .medium = layer.substance else {
      Issue.record("a map without need")
      return
    }
  }

  @Test func deletedReplacedAndCutFiles() throws {
    try files.random("disk", count: 1 << 20)
    let device = try attach("", "disk")
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    try files.run("truncate -s 512K disk")
    #expect(refusal { _ = try LoopDevice.layer(ofDevice: device) }.contains("was cut short"))
    try files.run("mv disk old; cp old disk")
    // The kernel knows the file by its new name.
    #expect(try LoopDevice.backing(ofDevice: device)?.path == files.path("old"))
    try files.run("rm old")
    #expect(
      refusal { _ = try LoopDevice.backing(ofDevice: device) }.contains("deleted or replaced"))
    // A file that takes the name over.
    try files.run("cp disk 'old (deleted)'")
    #expect(
      refusal { _ = try LoopDevice.backing(ofDevice: device) }.contains("deleted or replaced"))
  }

  @Test func noLoopDevice() throws {
    try files.random("disk", count: 1 << 20)
    for path in [files.path("disk"), "/dev/null", files.directory, "/nowhere"] {
      #expect(try LoopDevice.backing(ofDevice: path) == nil)
      #expect(try LoopDevice.layer(ofDevice: path) == nil)
    }
  }
}
