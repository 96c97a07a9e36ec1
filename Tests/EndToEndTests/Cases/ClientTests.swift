import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Programs that test file systems, as far as they fit one that is read-only.
  @Suite("Clients", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Clients {
    private static let pattern = "pattern"

    @Test("fio verifies a pattern through the mount: buffered, direct and mapped, in motion")
    func fio() throws {
      let site = try Site(.single, megabytes: 1024) { tree in
        try tree.buildSmall()
        try run("fio", arguments(tree.writer.path(Self.pattern)) + ["--rw=write", "--do_verify=0"])
      }
      let backup = try site.mount()
      let mover = try site.mover("balance", "rewrite")
      for engine in [["psync"], ["psync", "--direct=1"], ["mmap"]] {
        let outcome = try attempt(
          "fio",
          arguments("\(backup.mountpoint)/\(Self.pattern)") + [
            "--readonly", "--rw=randread", "--ioengine=\(engine[0])",
          ] + engine.dropFirst())
        #expect(outcome.succeeded, "\(outcome.commandLine)\n\(outcome.output)\(outcome.errors)")
      }
      try mover.stop()
      try backup.unmount()
    }

    private func arguments(_ path: String) -> [String] {
      [
        "--name=pattern", "--filename=\(path)", "--size=24m", "--bs=64k", "--verify=crc32c",
        "--verify_fatal=1", "--verify_state_save=0", "--randseed=7", "--minimal",
      ]
    }

    @Test("stress-ng: files are opened, looked at and closed by many at once, in motion")
    func stress() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      let mover = try site.mover("balance", "rewrite")
      let stress = try attempt(
        "stress-ng",
        [
          "--fstat", "8", "--fstat-dir", "\(backup.mountpoint)/files", "--timeout", "5",
          "--temp-path", site.scratch.path,
        ])
      #expect(stress.succeeded, "\(stress.output)\(stress.errors)")
      try mover.stop()
      #expect(try backup.status().errors == 0)
      try backup.unmount()
    }

    @Test("cp and cat copy a file with holes: the same bytes, and no more room than before")
    func coreutils() throws {
      let site = try Site(.single, megabytes: 1024) { tree in
        try tree.buildSmall()
        try tree.writer.sparse("sparse", size: 64 << 20, data: [5 << 20..<6 << 20])
      }
      let backup = try site.mount()
      let copy = "\(site.scratch.path)/copy"
      try run("cp", ["--sparse=auto", "\(backup.mountpoint)/sparse", copy])
      #expect(try readFile(copy) == readFile("\(site.snapshot)/sparse"))
      #expect(try run("stat", ["-c", "%b", copy]) == "2048\n")
      try run("sh", ["-c", "cat '\(backup.mountpoint)/\(Tree.smallFiles[0])' >'\(copy)'"])
      #expect(try readFile(copy) == readFile("\(site.snapshot)/\(Tree.smallFiles[0])"))
      try backup.unmount()
    }
  }
}
