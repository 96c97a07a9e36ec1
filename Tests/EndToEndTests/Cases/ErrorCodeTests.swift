import FoundationEssentials
import Testing

extension EndToEnd.Errors {
  /// What `--json` tells when a command fails.
  private struct Report: Decodable {
    struct Content: Decodable {
      let code: String
      let message: String
      let causes: [String]
    }

    let error: Content
  }

  @Test("With --json a program reads the same sentence, and a code")
  func codes() throws {
    let scratch = try places()
    for (command, code, causes) in [
      ("freeze nothing -o x.floe", "not-found", 0),
      ("freeze ext.img -o no/x.floe", "not-found", 1),
      ("freeze ext.img -o ok.floe", "exists", 0),
      ("freeze /proc/version -o x.floe", "unsupported", 0),
      ("freeze ext.img --name a/b --state state", "invalid", 0),
      ("mount text mnt", "invalid", 1),
      ("mount cut.floe mnt", "malformed", 1),
      ("mount ok.floe mnt --medium x=ext.img", "invalid", 0),
      ("mount ok.floe text", "invalid", 0),
      ("mount floe+unix:nothing/a mnt", "unreachable", 0),
      ("status mnt", "not-found", 0),
      ("explain text 0", "not-permitted", 0),
      ("inspect ok.floe a/b", "not-found", 0),
      ("verify cut.floe", "malformed", 1),
      ("images --state nothing", "not-found", 1),
      ("thaw a --state state", "not-found", 0),
    ] {
      let words = command.split(separator: " ").map(String.init) + ["--json"]
      let outcome = try attempt(
        "env", ["-C", scratch.path, Floe.program] + words, seconds: 60)
      #expect(outcome.ending == .exited(1), "\(command): \(outcome)")
      let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).error
      #expect(report.code == code, "\(command): \(report)")
      #expect(report.causes.count == causes, "\(command): \(report)")
      #expect(outcome.errors == "floe: \(report.message)\n", "\(command)")
    }
  }
}
