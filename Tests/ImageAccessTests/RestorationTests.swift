import FrozenImage
import HostSystem
import ImageFixtures
import ImageReader
import LogicalRepresentation
import SystemPackage
import Testing

@testable import Restoring

@Suite struct RestorationTests {
  /// Gives every file the same byte.
  private struct Stars: FileReading {
    func read(
      _ node: NodeIndex, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ReadError) -> Int {
      for index in buffer.indices { buffer[index] = UInt8(ascii: "*") }
      return buffer.count
    }
  }

  let directory: TemporaryDirectory
  var destination: String { "\(directory.path)/safe/copy" }

  init() throws {
    directory = try TemporaryDirectory()
    mkdir("\(directory.path)/safe", 0o700)
  }

  /// An image of which one name is another one than any writer writes; nobody checked it.
  private func image(naming name: String) throws -> Representation {
    let written = try WrittenImage(in: directory.path)
    var bytes = try CompleteFile.read(written.path.string)
    let old = Array("again".utf8)
    try #require(old.count == name.utf8.count)
    var patched = 0
    for index in 0..<bytes.count - old.count where bytes[index...].starts(with: old) {
      bytes.replaceSubrange(index..<index + old.count, with: name.utf8)
      patched += 1
    }
    try #require(patched == 1)
    let path = directory.path.appending("patched.floe")
    try CompleteFile.write(bytes, to: path, mode: 0o600, replacing: true)
    return try Representation(MappedFile.copy(of: path))
  }

  private func restore(
    _ representation: Representation, _ options: RestoreOptions = RestoreOptions()
  ) throws -> RestoreFindings {
    try Restoration(
      of: representation, [RestorePart(top: representation.roots[0].node)], contents: Stars(),
      to: destination, options
    ).run { _ in }
  }

  @Test(arguments: ["../xx", "/tmp/", ".././", "a\0bcd"])
  func aNameThatLeadsOutIsNamedAndTheRestIsRestored(name: String) throws {
    let found = try restore(image(naming: name))
    // What could not be read when the image was frozen is named as well.
    #expect(found.failures.count == 3)
    #expect(
      found.failures.contains { "\($0.error)" == "such a name leads out of its directory" })
    #expect(try CompleteFile.read("\(destination)/a") == Array("***".utf8))
    #expect(try CompleteFile.read("\(destination)/d/e/b") == Array("*".utf8))
    #expect(DirectoryListing.names(in: "\(directory.path)/safe").sorted() == ["copy"])
    #expect(DirectoryListing.names(in: destination).sorted() == ["a", "d"])
    #expect(DirectoryListing.names(in: "\(destination)/d").sorted() == ["e"])
  }

  @Test func namesAreSingleNames() {
    for name in ["", ".", "..", "a/b", "/", "a\0", "\0"] {
      #expect(EntryName(name.utf8) == nil, "\(name)")
    }
    for name in ["a", "...", ".a", "-rf", "\u{1B}", "a\n"] {
      #expect(EntryName(name.utf8)?.bytes == Array(name.utf8))
    }
  }

  @Test func whatIsMissingIsNamedOnce() throws {
    let found = try restore(image(naming: "other"))
    #expect(Set(found.failures.map(\.path)) == ["gone", "lost"])
    #expect(found.failureCount == 2)
    #expect(found.files == 2 && found.hardLinks == 1)
  }

  @Test func aRestoreThatGoesOnLeavesOtherFilesAlone() throws {
    let representation = try image(naming: "other")
    _ = try restore(representation)
    #expect(throws: Failure.self) { try restore(representation) }
    try CompleteFile.write(
      Array("mine".utf8), to: FilePath("\(destination)/a"), mode: 0o600, replacing: true)
    var options = RestoreOptions()
    options.resumes = true
    let found = try restore(representation, options)
    #expect(found.skipped == 1 && found.files == 0)
    #expect(found.failures.contains { $0.path == "a" && ErrorCode(of: $0.error) == .exists })
    #expect(try CompleteFile.read("\(destination)/a") == Array("mine".utf8))
    options.overwrites = true
    #expect(try restore(representation, options).files == 1)
    #expect(try CompleteFile.read("\(destination)/a") == Array("***".utf8))
    #expect(try CompleteFile.read("\(destination)/d/other") == Array("***".utf8))
  }
}
