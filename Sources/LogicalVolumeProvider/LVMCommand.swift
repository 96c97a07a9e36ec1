import CLinuxIO
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// Runs commands of lvm2, which alone changes a volume group.
enum LVMCommand {
  /// Nanoseconds after which a command that only looks is given up.
  private static let patience: UInt64 = 60_000_000_000

  /// Where a command is: some users' PATH leads to no programs for administrators.
  static func path(of command: String) -> String {
    let usual = "/usr/sbin/\(command)"
    return access(usual, X_OK) == 0 ? usual : command
  }

  /// What `lvs` or `vgs` reports: a row for each volume that fits, with as many columns as were
  /// asked for. Sizes are bytes.
  ///
  /// - Parameters:
  ///   - selection: a condition (lvmreport(7)).
  ///   - isForeign: whether groups of other hosts are looked at as well.
  /// - Throws: `StackError` when the command does not run or end.
  static func report(
    _ command: String, _ columns: [String], where selection: String, isForeign: Bool = false
  ) throws(StackError) -> [[String]] {
    var words = [
      command, "--noheadings", "--nosuffix", "--units", "b", "--separator", "|", "--options",
      columns.joined(separator: ","), "--select", selection,
    ]
    if isForeign { words += ["--foreign"] }
    guard let bytes = ChildProcess.output(of: path(of: command), words, within: patience) else {
      throw StackError(.failed, "\(command) of lvm2 cannot be run, or did not end")
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
      let row = line.split(separator: "|", omittingEmptySubsequences: false).map { column in
        String(column.drop { $0 == " " })
      }
      return row.count == columns.count ? row : nil
    }
  }

  /// Runs a command that changes something, to its end.
  ///
  /// - Throws: `StackError` with what it said when it fails.
  static func change(_ words: [String]) throws(StackError) {
    let command = words.first ?? ""
    let output = floe_memory_file("output")
    guard output >= 0 else {
      throw StackError(cannot: "run \(command)", Errno(rawValue: errno))
    }
    defer { close(output) }
    // A session of its own: a terminal's Ctrl-C does not end it half-way.
    guard
      let child = ChildProcess.spawn(
        path(of: command), words, flags: floe_posix_spawn_setsid(), isMute: true, output: output,
        joinsErrors: true)
    else { throw StackError(.failed, "\(command) of lvm2 cannot be started") }
    let status = ChildProcess.wait(for: child)
    guard status == 0 else {
      throw StackError(.failed, "\(command) failed (\(status)): \(sentence(in: output))")
    }
  }

  /// What a command wrote to a file, in one line.
  static func sentence(in file: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
    let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      .split(separator: "\n").map { $0.drop { $0 == " " } }
    return lines.isEmpty ? "it said nothing" : lines.joined(separator: "; ")
  }
}
