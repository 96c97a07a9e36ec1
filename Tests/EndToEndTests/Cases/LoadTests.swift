import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Many readers at once, for long. `FLOE_LOAD_SECONDS` says how long: 20 unless set.
  @Suite("Load", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Load {
    private static let seconds =
      getenv("FLOE_LOAD_SECONDS").flatMap { Int(String(cString: $0)) } ?? 20

    @Test("64 readers and the mover: nothing wrong, nothing leaked, unmounted cleanly")
    func manyReaders() throws {
      let site = try Site(.raid1, megabytes: 1536) { tree in
        try tree.buildSmall()
        let pattern = Self.pattern("\(tree.writer.root)/pattern", mode: "write")
        try run("fio", pattern + ["--do_verify=0"])
      }
      let backup = try site.mount()
      let idle = try Footprint(of: backup.process.identifier)
      let readers = try Readers(backup.mountpoint, reference: site.snapshot, in: site.scratch)
      let mover = try site.mover()
      try readers.start(64)

      let end = now() + Int64(Self.seconds) * 1000
      var warm: Footprint?
      while now() < end {
        sleep(1)
        // Or the kernel would answer everything from its own memory.
        try run("sh", ["-c", "echo 3 >/proc/sys/vm/drop_caches"])
        try readers.expectNoneEnded()
        if warm == nil, readers.turns() >= 64 {
          warm = try Footprint(of: backup.process.identifier)
        }
      }
      let loaded = try Footprint(of: backup.process.identifier)
      try readers.stop()
      try mover.stop()
      let rest = try Footprint(of: backup.process.identifier)
      let status = try backup.status()
      print(
        "load: \(readers.turns()) turns of readers, \(status.reads) reads, "
          + "\(status.remaps) remaps, \(status.discarded_reads) stale reads thrown away")
      print("load: idle \(idle); warm \(warm ?? loaded); loaded \(loaded); rest \(rest)")
      #expect(status.errors == 0, "\(status)")
      #expect(status.remaps > 0, "\(status)")
      #expect(rest.descriptors <= idle.descriptors + 4)
      #expect(loaded.threads <= (warm ?? loaded).threads + 16)
      #expect(loaded.memory <= (warm ?? loaded).memory * 2 + 32 << 20)
      try backup.unmount()
    }

    /// What fio is told, to write or verify its pattern.
    static func pattern(_ path: String, mode: String) -> [String] {
      [
        "--name=pattern", "--filename=\(path)", "--rw=\(mode)", "--bs=64k", "--size=32m",
        "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--minimal",
      ]
    }
  }
}

/// What a process holds.
private struct Footprint: CustomStringConvertible {
  let descriptors: Int
  let threads: Int
  /// Bytes of anonymous memory.
  let memory: Int

  var description: String { "\(descriptors) files, \(threads) threads, \(memory >> 20) MiB" }

  init(of process: pid_t) throws {
    descriptors = try names(in: "/proc/\(process)/fd").count
    let status = String(decoding: try readFile("/proc/\(process)/status"), as: UTF8.self)
    func number(_ key: String) throws -> Int {
      for line in status.split(separator: "\n") where line.hasPrefix(key + ":") {
        if let value = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({
          Int($0)
        }) {
          return value
        }
      }
      throw HarnessError("/proc/\(process)/status has no \(key)")
    }
    threads = try number("Threads")
    memory = try number("RssAnon") << 10
  }
}

/// Tools that read a tree again and again and compare it with what it should be.
private final class Readers {
  private let scratch: Scratch
  private let commands: [String]
  private let directory: String
  private var running: [ChildProcess] = []

  init(_ mountpoint: String, reference: String, in scratch: Scratch) throws {
    self.scratch = scratch
    directory = try scratch.directory("readers")
    let archive = "\(directory)/reference.tar"
    let list = "find . -printf '%p %y %s %m %U %G %T@ %l\\n' | sort"
    try run("tar", ["-C", reference, "--format=posix", "-cf", archive, "."])
    try run("sh", ["-c", "cd \(reference) && \(list) >\(directory)/reference.list"])
    let verify = ["fio"] + EndToEnd.Load.pattern("\(mountpoint)/pattern", mode: "read")
    commands = [
      // Prints what differs, and copies nothing.
      "test -z \"$(rsync -aHnc --delete --itemize-changes \(mountpoint)/ \(reference)/ | tee /dev/stderr)\"",
      "tar -C \(mountpoint) --compare -f \(archive)",
      "\((verify + ["--readonly"]).joined(separator: " ")) >/dev/null",
      "cd \(mountpoint) && \(list) | cmp - \(directory)/reference.list",
    ]
  }

  /// Starts readers that go on until `stop`.
  func start(_ count: Int) throws {
    for number in 0..<count {
      let script = """
        while [ ! -e \(directory)/stop ]; do
          (\(commands[number % commands.count])) || exit 1
          echo >>\(directory)/turns
        done
        """
      running.append(try scratch.start("sh", ["-c", script]))
    }
  }

  /// How often a reader has read everything.
  func turns() -> Int { (try? readFile("\(directory)/turns"))?.count ?? 0 }

  func expectNoneEnded(sourceLocation: SourceLocation = #_sourceLocation) throws {
    for reader in running where reader.hasEnded {
      throw HarnessError("\(reader.commandLine)\n\(reader.output)\n\(reader.errors)")
    }
  }

  func stop() throws {
    try writeFile("\(directory)/stop", [])
    for reader in running {
      let ending = try reader.wait()
      #expect(ending == .exited(0), "\(reader.commandLine)\n\(reader.output)\n\(reader.errors)")
    }
  }
}
