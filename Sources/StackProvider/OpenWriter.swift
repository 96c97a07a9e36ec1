import DataSets
import Glibc
import HostSystem

/// A process that holds a file or block device open for writing.
struct OpenWriter {
  let process: Int
  /// The first 15 bytes of the program's name (proc_pid_comm(5)).
  let command: String
  let node: KernelDevice.Node

  /// Looks through the files that processes have open, and those that they have mapped,
  /// for some of these files and devices.
  ///
  /// Processes of other users are seen only by root, those outside of this process's PID
  /// namespace by nobody, and what the kernel itself writes is no process.
  static func find(of nodes: Set<KernelDevice.Node>) -> OpenWriter? {
    for name in DirectoryListing.names(in: "/proc") {
      guard let process = Int(name), process != Int(getpid()) else { continue }
      let directory = "/proc/\(name)"
      guard let node = opened(in: directory, of: nodes) ?? mapped(in: directory, of: nodes) else {
        continue
      }
      let command = (try? CompleteFile.read("\(directory)/comm")) ?? []
      return OpenWriter(
        process: process,
        command: String(decoding: command.filter { $0 >= 0x20 && $0 != 0x7F }, as: UTF8.self),
        node: node)
    }
    return nil
  }

  private static func opened(
    in directory: String, of nodes: Set<KernelDevice.Node>
  ) -> KernelDevice.Node? {
    for number in DirectoryListing.names(in: "\(directory)/fd") {
      guard let node = KernelDevice.Node(at: "\(directory)/fd/\(number)"), nodes.contains(node),
        let info = try? CompleteFile.read("\(directory)/fdinfo/\(number)"),
        let flags = flags(in: info)
      else { continue }
      // O_PATH (octal 10000000) opens nothing.
      let isOpen = flags & 0o10000000 == 0
      if isOpen, [O_WRONLY, O_RDWR].contains(flags & O_ACCMODE) { return node }
    }
    return nil
  }

  /// The line "flags:" of fdinfo, octal (proc_pid_fdinfo(5)).
  private static func flags(in info: [UInt8]) -> Int32? {
    for line in info.split(separator: UInt8(ascii: "\n")) {
      let fields = String(decoding: line, as: UTF8.self).split { $0 == "\t" || $0 == " " }
      if fields.first == "flags:", fields.count > 1 { return Int32(fields[1], radix: 8) }
    }
    return nil
  }

  /// A mapping that is shared and may be written needs no open file.
  private static func mapped(
    in directory: String, of nodes: Set<KernelDevice.Node>
  ) -> KernelDevice.Node? {
    guard let maps = try? CompleteFile.read("\(directory)/maps") else { return nil }
    for line in maps.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
      guard fields.count == 3, fields[1].count == 4, fields[1].dropFirst().first == 0x77,
        fields[1].last == 0x73
      else { continue }
      // The link's name has no leading zeros.
      let range = String(decoding: fields[0], as: UTF8.self).split(separator: "-").compactMap {
        UInt64($0, radix: 16).map { String($0, radix: 16) }
      }.joined(separator: "-")
      if let node = KernelDevice.Node(at: "\(directory)/map_files/\(range)"),
        nodes.contains(node)
      {
        return node
      }
    }
    return nil
  }
}

extension KernelDevice.Node {
  /// What a path leads to; `nil` when it is neither a regular file nor a block device, or
  /// cannot be looked at.
  init?(at path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFBLK: self = .device(UInt64(status.st_rdev))
    case S_IFREG: self = .file(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    default: return nil
    }
  }
}
