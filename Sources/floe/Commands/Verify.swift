import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import Logging
import SystemPackage
import VerifiedReading

struct Verify: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Read a whole image from the storage and compare it with its data checksums.",
    discussion: """
      Every file is read as a mount would read it, and every copy whose data checksum does not \
      match is reported, also where another copy has the bytes. On a volume without data \
      checksums it shows that every byte can be read, and no more. Exit status 0: nothing is \
      damaged.
      """)

  @Argument(help: SourceHelp.text)
  var source: String

  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Write the manifest, as JSON, into FILE.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Sign the manifest with this private key (PEM, P-256); the signature goes into FILE.sig.",
      valueName: "key"))
  var signWith: String?

  @Flag(help: "Replace the files of -o and --sign-with when they are there already.")
  var force = false

  @OptionGroup var reading: ReadingOptions

  @OptionGroup var log: LogOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if force, output == nil { throw ValidationError("--force is for the file of -o") }
    if signWith != nil, output == nil {
      throw ValidationError("--sign-with signs the file of -o")
    }
  }

  func run() throws {
    LogDestination.use(background: false, log)
    let key = try signWith.map { try SigningKey(path: $0) }
    if let output {
      // Before all of the image is read for it.
      try OutputFile.check(output, replacing: force)
      if key != nil { try OutputFile.check("\(output).sig", replacing: force) }
    }
    var request = try reading.request()
    request.readsEveryCopy = true
    let image = try reading.open(source, for: "verify", request)
    defer { image.close() }
    let root = try image.root(nil)
    let volume = try image.volume(of: root)
    let reader = try request.makeReader(of: image, volume: volume)
    let began = Timestamp.now
    var line = ProgressLine()
    let findings = Verification(reader).run(below: root.node, threads: reading.threads) {
      line.show(files: $0.files, bytes: $0.bytes)
    }
    line.end()
    if let failure = findings.failure { throw failure }
    let manifest = VerificationManifest(
      image.representation, volume, reader.status, findings, began: began)
    let bytes = JSON.bytes(of: manifest) + [UInt8(ascii: "\n")]
    if let output {
      try write(bytes, to: output)
      if let key { try write(key.signature(of: bytes), to: "\(output).sig") }
    }
    print(json ? JSON.text(of: manifest) : manifest.text)
    guard manifest.mismatches.isEmpty, manifest.unreadable.isEmpty else {
      throw SilentExit(status: EXIT_FAILURE)
    }
  }

  private func write(_ bytes: [UInt8], to path: String) throws(FileFailure) {
    try CompleteFile.write(bytes, to: FilePath(path), mode: 0o644, replacing: force)
  }
}
