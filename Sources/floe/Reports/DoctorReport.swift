import HostChecks
import HostSystem

/// What `floe doctor` tells; the JSON form's keys are part of floe's interface.
struct DoctorReport: Encodable {
  let wrong_count: Int
  let note_count: Int
  let findings: [Finding]

  init(_ findings: [Finding]) {
    self.findings = findings
    wrong_count = findings.count { $0.state == .wrong }
    note_count = findings.count { $0.state == .note }
  }

  /// The report for people: a line for each thing that is well, and for others what it means
  /// and what to do.
  var text: String {
    let lines = findings.flatMap { finding in
      let state = finding.state == .wrong ? "WRONG" : finding.state.rawValue
      let subject = finding.subject.map { "\($0): " } ?? ""
      return [
        "\(Self.padded(state, 6)) \(Self.padded(finding.check.rawValue, 11)) \(subject)\(finding.what)"
      ]
        + (finding.meaning.map { ["\(Self.indent)so: \($0)"] } ?? [])
        + (finding.advice.map { ["\(Self.indent)do: \($0)"] } ?? [])
    }
    let end = wrong_count == 0 ? "nothing is wrong" : "\(wrong_count) wrong"
    return VisibleText.page(lines + [end])
  }

  private static let indent = String(repeating: " ", count: 19)

  private static func padded(_ word: String, _ width: Int) -> String {
    word + String(repeating: " ", count: max(0, width - word.count))
  }
}
