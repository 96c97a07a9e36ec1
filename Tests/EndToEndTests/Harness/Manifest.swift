import Testing

/// Manifests of trees, made by the independent tool manifest/manifest.py.
struct Manifest {
  enum Mode: String {
    /// Everything, for a snapshot and the mount of its image.
    case full
    /// What rsync and tar keep.
    case copy
  }

  let lines: [String]

  /// Of what another host wrote.
  init(lines: [String]) { self.lines = lines }

  init(_ mode: Mode, of tree: String, skip: [String] = [], options: [String] = []) throws {
    let skipped = skip.flatMap { ["--skip", $0] }
    let outcome = try attempt(
      "python3",
      [
        "\(Floe.repository)/Tests/EndToEndTests/manifest/manifest.py", mode.rawValue, tree,
      ] + skipped + options)
    guard outcome.succeeded || outcome.ending == .exited(1) && !outcome.output.isEmpty else {
      throw HarnessError("\(outcome.commandLine): \(outcome.ending)\n\(outcome.errors)")
    }
    lines = outcome.output.split(separator: "\n").map(String.init)
  }

  /// Lines of this manifest whose path could not be read completely.
  var unreadable: [String] { lines.filter { $0.contains(" error=") } }

  /// Records an issue with the first differences when this is not the same as another.
  func expectSame(
    as reference: Manifest, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guard lines != reference.lines else { return }
    let ours = Set(lines)
    let theirs = Set(reference.lines)
    let unexpected = lines.filter { !theirs.contains($0) }
    let absent = reference.lines.filter { !ours.contains($0) }
    let shown =
      absent.prefix(6).map { "- \($0.prefix(600))" }
      + unexpected.prefix(6).map { "+ \($0.prefix(600))" }
    Issue.record(
      """
      \(what) differs: \(absent.count) lines of the reference are absent, \
      \(unexpected.count) are other than expected
      \(shown.joined(separator: "\n"))
      """, sourceLocation: sourceLocation)
  }
}
