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

  @Argument(
    help: "floe+unix:SOCKET/IMAGE, floe://HOST[:PORT]/IMAGE, or a representation's file.")
  var source: String

  @Option(
    help: ArgumentHelp(
      "Take the medium at PATH for the one that the image calls ID; may be repeated.",
      valueName: "ID=PATH"))
  var medium: [String] = []

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

  @Option(help: ArgumentHelp("How many files are read at once: 1 to 64.", valueName: "N"))
  var threads = 4

  @Option(
    help: ArgumentHelp(
      "Seconds that a read waits for a valid mapping before it fails; at most 1 for a file that "
        + "names no service and whose media do not tell.", valueName: "SECONDS"))
  var remapTimeout: Double = 30

  @Option(
    help: ArgumentHelp(
      "Where the representation is kept, without a name, while it is read.", valueName: "DIR"))
  var cache = "/var/tmp"

  @OptionGroup var trust: TrustOptions

  @OptionGroup var log: LogOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...64).contains(threads) else {
      throw ValidationError("the count of threads is 1 through 64")
    }
    guard remapTimeout > 0, remapTimeout < 1e6 else {
      throw ValidationError("the remap timeout is a number of seconds above 0")
    }
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
    var request = ReaderRequest()
    request.media = try ReaderRequest.media(from: medium)
    request.remapTimeout = remapTimeout
    request.readsEveryCopy = true
    request.limits = try trust.limits()
    request.storageAnswerers = ReaderRequest.allStorageAnswerers
    let image = try OpenedImage(
      ImageSource(source), cache: cache, limit: CacheLimit(bytes: trust.cacheLimit),
      mountpoint: "(floe verify)", service: trust.address(), connect: request.connector)
    defer { image.close() }
    let root = try image.root(nil)
    let volume = try image.volume(of: root)
    let reader = try request.makeReader(of: image, volume: volume)
    let began = Timestamp.now
    var line = ProgressLine()
    let findings = Verification(reader).run(below: root.node, threads: threads) {
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
