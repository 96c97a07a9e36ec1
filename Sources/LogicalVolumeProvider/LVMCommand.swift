import CLinuxIO
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// Runs commands of lvm2, which alone changes a volume group.
enum LVMCommand {
  /// Milliseconds after which a command that only looks is given up.
  private static let patience: Int32 = 60_000

  /// Bytes of a report that are taken.
  private static let maximumReport = 65536

  /// Where a command is: some users' PATH leads to no programs for administrators.
  static func path(of command: String) -> String {
    guard !command.contains("/") else { return command }
    let usual = "/usr/sbin/\(command)"
    return access(usual, X_OK) == 0 ? usual : command
  }

  /// What of lvm.conf would give reports another form.
  private static let form =
    "log{report_command_log=0} report{columns_as_rows=0 compact_output=0 buffered=1 "
    + "mark_hidden_devices=0 binary_values_as_numeric=0}"

  /// What `lvs` or `vgs` reports: a row for each volume that fits, with as many columns as were
  /// asked for. Sizes are bytes.
  ///
  /// - Parameters:
  ///   - selection: a condition (lvmreport(7)).
  ///   - isForeign: whether groups of other hosts are looked at as well.
  ///   - showsHidden: whether the parts of volumes are looked at as well.
  ///   - program: what is run; `nil` for the command of this host.
  /// - Returns: no row only when the command ended well and found none. Rows that it reports
  ///   although it failed, at another group perhaps, are right.
  /// - Throws: `StackError` when the command does not run or end, fails, or writes what is no
  ///   report.
  static func report(
    _ command: String, _ columns: [String], where selection: String, isForeign: Bool = false,
    showsHidden: Bool = false, program: String? = nil
  ) throws(StackError) -> [[String]] {
    var words = [
      program ?? command, "--reportformat", "basic", "--config", form, "--noheadings",
      "--nameprefixes", "--unquoted", "--nosuffix", "--units", "b", "--separator", "|",
      "--options", columns.joined(separator: ","), "--select", selection,
    ]
    if isForeign { words += ["--foreign"] }
    if showsHidden { words += ["--all"] }
    let output = floe_memory_file("output")
    guard output >= 0 else {
      throw StackError(cannot: "run \(command)", Errno(rawValue: errno))
    }
    defer { close(output) }
    guard let child = start(words, output: output), let status = end(of: child) else {
      throw StackError(.failed, "\(command) of lvm2 cannot be run, or did not end")
    }
    let rows = try rows(in: output, columns, of: command)
    guard status == 0 || !rows.isEmpty else {
      throw StackError(.failed, "\(command) failed (\(status)): \(sentence(in: output))")
    }
    return rows
  }

  /// The rows among what a command wrote: each value has its column's name before it, so that a
  /// warning is not taken for one.
  private static func rows(
    in output: Int32, _ columns: [String], of command: String
  ) throws(StackError) -> [[String]] {
    var bytes = [UInt8](repeating: 0, count: maximumReport + 1)
    let count = bytes.withUnsafeMutableBytes { pread(output, $0.baseAddress, $0.count, 0) }
    guard (0...maximumReport).contains(count) else {
      throw StackError(.malformed, "\(command) reports more than can be")
    }
    let names = columns.map { "LVM2_\($0.uppercased())=" }
    var rows: [[String]] = []
    for line in String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n") {
      let row = line.drop { $0 == " " }
      guard row.hasPrefix("LVM2_") else { continue }
      let values = row.split(separator: "|", omittingEmptySubsequences: false)
      guard values.count == names.count, zip(values, names).allSatisfy({ $0.hasPrefix($1) }) else {
        throw StackError(.malformed, "\(command) reports what was not asked for: “\(row)”")
      }
      rows.append(zip(values, names).map { String($0.dropFirst($1.count)) })
    }
    return rows
  }

  /// Starts a command whose output and errors go to a file, in the language that is read here:
  /// others have a comma in numbers.
  static func start(_ words: [String], output: Int32, flags: Int16 = 0) -> Int32? {
    _ = hearsOfChildren
    guard let command = words.first else { return nil }
    return ChildProcess.spawn(
      "/usr/bin/env", ["env", "LC_ALL=C", path(of: command)] + words.dropFirst(), flags: flags,
      isMute: true, output: output, joinsErrors: true)
  }

  /// A process that was started with SIGCHLD ignored is not told how its children end.
  private static let hearsOfChildren: Void = { _ = signal(SIGCHLD, SIG_DFL) }()

  /// The exit status of a command that only looks; `nil` when it took too long and was killed.
  static func end(of child: Int32) -> Int32? {
    let process = floe_pidfd_open(child)
    guard process >= 0 else { return ChildProcess.wait(for: child) }
    defer { close(process) }
    var request = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
    var ready: Int32
    repeat { ready = poll(&request, 1, patience) } while ready < 0 && errno == EINTR
    if ready <= 0 { kill(child, SIGKILL) }
    let status = ChildProcess.wait(for: child)
    return ready > 0 ? status : nil
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
    guard let child = start(words, output: output, flags: floe_posix_spawn_setsid()) else {
      throw StackError(.failed, "\(command) of lvm2 cannot be started")
    }
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
