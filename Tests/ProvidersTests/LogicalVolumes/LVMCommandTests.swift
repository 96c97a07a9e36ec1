import DataSets
import FrozenImage
import Testing

@testable import LogicalVolumeProvider

/// What floe makes of what `lvs` says, by programs that stand in for it.
@Suite struct LVMCommandTests {
  private let columns = ["lv_name", "data_percent"]

  /// What is reported by a shell script in the place of `lvs`.
  private func report(_ script: String) throws -> [[String]] {
    let directory = try shell("mktemp -d").split(separator: "\n").joined()
    defer { _ = try? shell("rm -r \(directory)") }
    let program = "\(directory)/lvs"
    try shell("cat >\(program) <<'END'\n#!/bin/sh\n\(script)\nEND\nchmod 755 \(program)")
    return try LVMCommand.report("lvs", columns, where: "lv_name=data", program: program)
  }

  @Test("A command that fails is a failure and not an empty report, and what it said is told")
  func failure() throws {
    let error = #expect(throws: StackError.self) {
      try report("echo '  Giving up waiting for lock.' >&2; exit 5")
    }
    let sentence = try #require(error).description
    #expect(sentence.contains("lvs failed (5)"), "\(sentence)")
    #expect(sentence.contains("Giving up waiting for lock."), "\(sentence)")
    #expect(try report("exit 0").isEmpty)
  }

  @Test("Warnings are no rows, and a row in another form is refused")
  func rows() throws {
    let found = try report(
      "echo '  WARNING: a|b' >&2; echo '  LVM2_LV_NAME=data|LVM2_DATA_PERCENT=12.50'")
    #expect(found == [["data", "12.50"]])
    // One group of several that cannot be read costs nothing of the others.
    #expect(try report("echo '  LVM2_LV_NAME=data|LVM2_DATA_PERCENT='; exit 5") == [["data", ""]])
    for row in ["LVM2_LV_NAME=data", "LVM2_DATA_PERCENT=1|LVM2_LV_NAME=data", "LVM2_LV_NAME=d|x"] {
      #expect(throws: StackError.self) { try report("echo '  \(row)'") }
    }
  }

  @Test("lvm2 runs in the language that is read, whatever the user's is")
  func language() throws {
    let found = try report("echo \"LVM2_LV_NAME=$LC_ALL|LVM2_DATA_PERCENT=$1\"")
    #expect(found == [["C", "--reportformat"]])
  }
}
