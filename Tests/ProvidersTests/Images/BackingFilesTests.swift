import FoundationEssentials
import Glibc
import Testing

@testable import StackProvider
@testable import VolumeLayers

/// Whoever writes an image chooses the paths in it.
@Suite("Files that a disk image leads to", .enabled(if: ImageTools.suffice("qemu-img qemu-io")))
struct BackingFilesTests {
  let files: ImageFiles
  /// The image that the user names, in a directory of its own.
  private let image: String

  init() throws {
    files = try ImageFiles()
    image = files.path("tenant/disk.qcow2")
    try files.run("mkdir tenant tenant/deep other")
    try files.random("other/secret", count: 1 << 20)
    try files.random("tenant/own", count: 1 << 20)
  }

  private func place(_ backing: [String] = []) -> StackPlace {
    StackPlace(
      start: .path(image), selectors: [], physicalVolumes: [], backing: backing,
      assumesFrozen: true)
  }

  private func disk(_ backing: [String] = []) throws -> Layer {
    let medium = try files.layer("tenant/disk.qcow2")
    return try place(backing).disk(on: medium, at: image)
  }

  private func make(over backing: String, format: String = "raw", in place: String? = nil) throws {
    try files.run(
      "qemu-img create -q -u -f qcow2 -b \(backing) -F \(format) \(place ?? image) 2M")
  }

  @Test(arguments: ["absolute", "relative", "through a link", "through a linked directory"])
  func outsideIsRefusedUnlessNamed(_ way: String) throws {
    let secret = files.path("other/secret")
    switch way {
    case "absolute": try make(over: secret)
    case "relative": try make(over: "../other/secret")
    case "through a link":
      try files.run("ln -s ../other/secret tenant/link")
      try make(over: "link")
    default:
      try files.run("ln -s ../other tenant/linked")
      try make(over: "linked/secret")
    }
    for named in [[], [files.path("other/secre")], [files.path("oth")], [files.path("tenant")]] {
      let sentence = refusal { _ = try disk(named) }
      #expect(sentence.contains("needs the file \(secret), which is not in the directory"))
      #expect(sentence.contains("say --backing \(secret)"))
    }
    let oracle = try files.oracle("tenant/disk.qcow2")
    for named in [[secret], [files.path("other")], [files.path("tenant/own"), secret]] {
      try expectConformance(of: disk(named), to: oracle)
    }
  }

  @Test func insideItsDirectoryIsFollowed() throws {
    for name in [
      "own", "deep/../own", files.path("tenant/own"), "file:\(files.path("tenant/own"))",
    ] {
      try make(over: name)
      try expectConformance(of: disk(), to: files.oracle("tenant/disk.qcow2"))
    }
    // A neighbour whose name begins as the directory's.
    try files.run("mkdir tenant2; cp other/secret tenant2/own")
    try make(over: files.path("tenant2/own"))
    #expect(refusal { _ = try disk() }.contains("is not in the directory"))
  }

  @Test func everyFileOfAChainCounts() throws {
    try make(over: "../../other/secret", in: "tenant/deep/middle")
    try make(over: "deep/middle", format: "qcow2")
    #expect(refusal { _ = try disk() }.contains("say --backing \(files.path("other/secret"))"))
    try expectConformance(
      of: disk([files.path("other/secret")]), to: files.oracle("tenant/disk.qcow2"))
    // What the user named is no reason to take its neighbours.
    try files.run("mkdir third; mv other/secret third")
    try make(over: "../third/secret", in: "other/middle")
    try make(over: "../other/middle", format: "qcow2")
    #expect(
      refusal { _ = try disk([files.path("other/middle")]) }.contains(files.path("third/secret")))
  }

  @Test func dataFileIsOneOfThem() throws {
    try files.run(
      """
      cd tenant; qemu-img create -q -f qcow2 -o data_file=\(files.path("other/data")) disk.qcow2 2M
      qemu-io -f qcow2 -c 'write -P 5 64K 300K' disk.qcow2 >/dev/null
      """)
    #expect(refusal { _ = try disk() }.contains("say --backing \(files.path("other/data"))"))
    try expectConformance(
      of: disk([files.path("other/data")]), to: files.oracle("tenant/disk.qcow2"))
  }

  /// The service looks at the image again with what the catalogue keeps.
  @Test func permissionTravelsWithThePlace() throws {
    try make(over: "../other/secret")
    let secret = files.path("other/secret")
    let place = place([secret])
    let stored = try JSONEncoder().encode(place)
    let again = try JSONDecoder().decode(StackPlace.self, from: stored)
    #expect(again == place)
    let found = try StackFinder(again).find()
    #expect(found.pins == ["file \(image)", "file \(secret)"])
    #expect(refusal { _ = try StackFinder(self.place()).find() }.contains("--backing"))
    // A record of before there was such a permission.
    let text = String(decoding: try JSONEncoder().encode(self.place()), as: UTF8.self)
    let old = text.replacing("\"backing\":[],", with: "").replacing(",\"backing\":[]", with: "")
    #expect(!old.contains("backing"))
    let decoded = try JSONDecoder().decode(StackPlace.self, from: Data(old.utf8))
    #expect(decoded.backing == nil && decoded.start == place.start)
  }
}
