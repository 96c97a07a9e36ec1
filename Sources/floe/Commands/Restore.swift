import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import LogicalRepresentation
import Restoring

struct Restore: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Restore an image, or some of its files, into a directory; no mount is needed.",
    discussion: """
      The image's top becomes DEST. With --path, each PATH is restored as DEST/NAME, with all \
      that is in it. Owners, modes, times, hard links, symbolic links, devices, extended \
      attributes, ACLs and holes are kept. A file appears under its name once it is whole. What \
      cannot be restored is named, and the rest is restored; the exit status is 1 then.
      """)

  @Argument(help: SourceHelp.text)
  var source: String

  @Argument(help: "A directory; it is made if it is not there.")
  var destination: String

  @Option(
    help: ArgumentHelp(
      "Restore this file or directory of the image and no other; may be repeated.",
      valueName: "PATH"))
  var path: [String] = []

  @Flag(
    help: ArgumentHelp(
      "Go on with an interrupted restore: a file that is there with the image's size, time and "
        + "other attributes is not read again, unless this host was started anew since."))
  var resume = false

  @Flag(
    help: "With --resume: compare the content of files that are there, too.")
  var compareContent = false

  @Flag(help: "Replace files that are there already under the same names.")
  var overwrite = false

  @OptionGroup var reading: ReadingOptions

  @OptionGroup var log: LogOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if compareContent, !resume { throw ValidationError("--compare-content is for --resume") }
  }

  func run() throws {
    LogDestination.use(background: false, log)
    let request = try reading.request()
    let image = try reading.open(source, for: "restore", request)
    defer { image.close() }
    let root = try image.root(path.isEmpty ? nil : .tree)
    let reader = try request.makeReader(of: image, volume: image.volume(of: root))
    if let warning = try FirstLook(at: reader, image: image).warning() {
      printError("floe: warning: \(warning)")
    }
    var options = RestoreOptions()
    options.resumes = resume
    options.overwrites = overwrite
    options.comparesContent = compareContent
    options.threads = reading.threads
    let restoration = try Restoration(
      of: image.representation, parts(of: image.representation, below: root.node),
      contents: reader, to: destination, options)
    OpenFiles.raiseLimit()
    Interruption.listen(
      lastWords: "floe: ended at once; --resume goes on with the restore\n")
    var line = ProgressLine()
    let findings: RestoreFindings
    do {
      defer { line.end() }
      findings = try restoration.run { line.show(files: $0.files + $0.skipped, bytes: $0.bytes) }
    }
    let report = RestoreReport(image.representation.image, to: destination, findings)
    print(json ? JSON.text(of: report) : report.text)
    guard findings.failureCount == 0 else { throw SilentExit(status: EXIT_FAILURE) }
  }

  private func parts(
    of representation: Representation, below top: NodeIndex
  ) throws -> [RestorePart] {
    guard !path.isEmpty else { return [RestorePart(top: top)] }
    return try path.map { path in
      let node = try representation.node(at: path, below: top)
      return try RestorePart(node, representation.attributes(of: node).type, at: path)
    }
  }
}

/// How many files this process may have open.
enum OpenFiles {
  /// Allows as many as the system lets this user: a restore has the directories open that lie
  /// above each other.
  static func raiseLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
