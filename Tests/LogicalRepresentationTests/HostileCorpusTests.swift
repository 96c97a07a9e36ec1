import Glibc
import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// The representations that the fuzzer starts from (Tests/Fuzzing): sound ones, and files of
/// a hostile production host, whose checksums are right. Each of these is refused with the
/// sentence that its note tells, without a trap.
///
/// With FLOE_WRITE_CORPUS=1 the entries and their notes are written anew, which a change of
/// the format or of a sentence needs.
@Suite struct HostileCorpusTests {
  /// Tests/Fuzzing/Corpus
  private static let folder =
    #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fuzzing/Corpus"

  private static func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
      bytes += buffer[..<count]
    }
    return bytes
  }

  private static func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "w"))
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    #expect(fclose(file) == 0)
  }

  /// What opening and checking says; `nil` when the bytes are accepted.
  private func refusal(of bytes: [UInt8]) -> String? {
    do throws(RepresentationError) {
      let opened = try Representation(ArrayRegion(bytes))
      opened.askEverything()
      try opened.check()
      return nil
    } catch {
      return error.description
    }
  }

  private func write() throws {
    var notes =
      "# The representation's entries\n\nWritten by `FLOE_WRITE_CORPUS=1 swift test --filter "
      + "HostileCorpusTests`. After the colon: the sentence with which it is refused.\n\n"
    for entry in try HostileRepresentation.all() {
      try Self.write(entry.bytes, to: "\(Self.folder)/representation/\(entry.name)")
      let refusal = refusal(of: entry.bytes).map { "“\($0)”" } ?? "sound"
      notes += "- `\(entry.name)`, \(entry.note): \(refusal)\n"
    }
    try Self.write(Array(notes.utf8), to: "\(Self.folder)/NOTES-representation.md")
  }

  @Test func everyEntryIsWhatItsNoteTells() throws {
    if getenv("FLOE_WRITE_CORPUS") != nil { try write() }
    let notes = try #require(Self.contents(of: "\(Self.folder)/NOTES-representation.md"))
    let lines = String(decoding: notes, as: UTF8.self).split(separator: "\n")
    for entry in try HostileRepresentation.all() {
      let bytes = Self.contents(of: "\(Self.folder)/representation/\(entry.name)")
      #expect(bytes == entry.bytes, "\(entry.name) is not up to date")
      let line = lines.first { $0.hasPrefix("- `\(entry.name)`") }
      let refusal = refusal(of: bytes ?? [])
      #expect((refusal == nil) == entry.isSound, "\(entry.name): \(refusal ?? "accepted")")
      #expect(
        line?.hasSuffix(": " + (refusal.map { "“\($0)”" } ?? "sound")) == true, "\(entry.name)")
      #expect(refusal?.contains("\n") != true, "\(entry.name)")
    }
  }
}
