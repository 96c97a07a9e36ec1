import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Whether the tools of the tests of disk images are here. With CI=true the tests run,
/// and fail, rather than being skipped.
enum ImageTools {
  static func suffice(_ tools: String, root: Bool = false) -> Bool {
    let missing = (try? shell("for t in \(tools); do command -v $t >/dev/null || echo $t; done"))
    var why = missing.map { $0.isEmpty ? "" : "it needs \($0)" } ?? "it needs sh"
    if root, getuid() != 0 { why = "it needs root" }
    if why.isEmpty || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: tests of disk images: \(why)")
    return false
  }
}

/// A directory of image files, gone with the object.
final class ImageFiles {
  let directory: String

  init() throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    directory = try shell("mktemp -d \(base)/floe-images-XXXXXX").trimmed
  }

  deinit { _ = try? shell("rm -rf \(directory)", ignoringFailure: true) }

  /// Runs a script in the directory.
  @discardableResult
  func run(_ script: String) throws -> String { try shell("cd \(directory); \(script)") }

  func path(_ name: String) -> String { "\(directory)/\(name)" }

  func layer(_ name: String) throws -> Layer { Layer(try OpenMedium(path: path(name))) }

  func bytes(_ name: String) throws -> [UInt8] { try contents(of: Array(path(name).utf8)) }

  /// Writes a file that holds these bytes and no others.
  func write(_ bytes: [UInt8], to name: String) throws {
    let descriptor = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandError(description: "cannot write \(name)") }
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done)
      }
      guard count > 0 else { throw CommandError(description: "cannot write \(name)") }
      done += count
    }
  }

  /// Overwrites bytes of a file.
  func overwrite(_ bytes: [UInt8], of name: String, at offset: Int) throws {
    let descriptor = open(path(name), O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError(description: "cannot write \(name)") }
    defer { close(descriptor) }
    guard pwrite(descriptor, bytes, bytes.count, offset) == bytes.count else {
      throw CommandError(description: "cannot write \(name)")
    }
  }

  /// A file of random bytes.
  func random(_ name: String, count: Int) throws {
    try run("head -c \(count) /dev/urandom >\(name)")
  }

  /// The content of a qcow2 image as qemu-img reads it.
  func oracle(_ name: String) throws -> [UInt8] {
    try run("qemu-img convert -f qcow2 -O raw \(name) oracle.raw")
    return try bytes("oracle.raw")
  }

  /// The layer of a qcow2 image.
  func disk(_ name: String) throws -> Layer {
    Layer(try #require(try Qcow2.find(on: layer(name))).map())
  }
}

/// The sentence with which something is refused.
func refusal(
  sourceLocation: SourceLocation = #_sourceLocation, of body: () throws -> Void
) -> String {
  do {
    try body()
    Issue.record("nothing was refused", sourceLocation: sourceLocation)
    return ""
  } catch {
    #expect(error is StackError, sourceLocation: sourceLocation)
    let sentence = "\(error)"
    #expect(!sentence.contains("\n"), sourceLocation: sourceLocation)
    return sentence
  }
}

/// A layer cut in two pieces and put together the other way round, so that it lies in
/// one piece on no medium; `original` is what a mapper has to find behind it.
func scattered(_ name: String, in files: ImageFiles) throws -> Layer {
  let bytes = try files.bytes(name)
  let half = (bytes.count / 2) & ~0xFFF
  try files.write(Array(bytes[half...] + bytes[..<half]), to: name + ".swapped")
  let swapped = try files.layer(name + ".swapped")
  let size = UInt64(bytes.count)
  let tail = UInt64(bytes.count - half)
  return Layer(
    try LayerMap(
      title: "scattered \(name)", size: size, lower: [swapped],
      runs: [
        .linear(0..<UInt64(half), at: LayerAddress(layer: 0, offset: tail)),
        .linear(UInt64(half)..<size, at: LayerAddress(layer: 0, offset: 0)),
      ]))
}
