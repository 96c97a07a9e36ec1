import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// What others chose (labels, names, paths, a service's words) and a terminal would obey.
  @Suite("Terminal", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Terminal {
    private static let escape = "\u{1B}[31mred\nline"
    private static let shown = "\\x1B[31mred\\nline"

    private func expectShown(
      _ outcome: Outcome, _ shown: String = Self.shown,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let text = outcome.output + outcome.errors
      #expect(text.contains(shown), "\(text)", sourceLocation: sourceLocation)
      let raw = text.unicodeScalars.filter { $0 != "\n" && ($0 < " " || $0 == "\u{7F}") }
      #expect(raw.isEmpty, "\(outcome.commandLine)", sourceLocation: sourceLocation)
      #expect(!text.contains("\nline"), "\(outcome.commandLine)", sourceLocation: sourceLocation)
    }

    @Test("The label of an ext4, in the explanation, the chain and the errors")
    func label() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 16) { try $0.writer.directory("d") }
      try run("tune2fs", ["-L", Self.escape, image])
      expectShown(try attempt(Floe.program, ["freeze", image, "--explain"]))
      let file = "\(scratch.path)/x.floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      expectShown(try attempt(Floe.program, ["inspect", file]))
      // JSON has its own escapes.
      let json = try run(Floe.program, ["inspect", file, "--json"])
      #expect(!json.contains("\u{1B}"))
      #expect(json.contains("\\u001b[31mred\\nline"), "\(json)")
    }

    @Test("The label of a btrfs and a file's name, in inspect, verify and explain")
    func names() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 512)
      try run("btrfs", ["filesystem", "label", volume.mountpoint, "\u{1B}]0;title\u{7}"])
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      let content = [UInt8](repeating: 7, count: 65536)
      try writeFile("\(source)/\(Self.escape)", content)
      try volume.sync()
      let production = try ProductionHost(in: scratch)
      try production.freeze(source, name: "image")
      try production.serve()
      expectShown(
        try attempt(Floe.program, ["inspect", production.source("image")]), "\\x1B]0;title\\x07")
      expectShown(
        try attempt(Floe.program, ["inspect", production.source("image"), "/\(Self.escape)"]))
      expectShown(
        try attempt(Floe.program, ["inspect", production.source("image"), "/a\(Self.escape)"]))
      // Damaged on the only copy, so that it is listed.
      let image = volume.devices[0].image
      var bytes = try readFile(image)
      let place = try #require(bytes.firstRange(of: [UInt8](repeating: 7, count: 4096)))
      bytes[place.lowerBound] = 8
      try run(
        "dd",
        [
          "if=/dev/zero", "of=\(volume.devices[0].image)", "bs=4096", "count=1", "conv=notrunc",
          "seek=\(place.lowerBound / 4096)",
        ])
      let verified = try attempt(Floe.program, ["verify", production.source("image")])
      #expect(!verified.succeeded)
      expectShown(verified)
    }

    @Test("A partition's name, and a path that is typed")
    func partition() throws {
      let scratch = try Scratch()
      let disk = "\(scratch.path)/disk.img"
      try run("truncate", ["-s", "64M", disk])
      try run(
        "sh",
        [
          "-c",
          "printf 'label: gpt\\nstart=1MiB, size=8MiB\\nstart=16MiB, size=8MiB\\n' | sfdisk -q \(disk)",
        ])
      try run("sfdisk", ["--part-label", "-q", disk, "1", "\u{1B}[31mred"])
      expectShown(try attempt(Floe.program, ["freeze", disk, "--explain"]), "\\x1B[31mred")
      expectShown(try attempt(Floe.program, ["freeze", "/nowhere/\(Self.escape)", "--name", "x"]))
      expectShown(try attempt(Floe.program, ["status", "/nowhere/\(Self.escape)"]))
      expectShown(try attempt(Floe.program, ["status", "--\u{1B}[31mred"]), "\\x1B[31mred")
    }

    @Test("The words of a service and the names that a mount gave it")
    func service() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 16) { try $0.writer.directory("d") }
      // A service says where it looked.
      let state = try scratch.directory("state\u{1B}[31mred\nline")
      let named = ["freeze", image, "--state", state, "--name"]
      expectShown(try attempt(Floe.program, named + ["a\(Self.escape)"]))
      // An image whose representation is gone, which the service tells with its path.
      try run(Floe.program, named + ["image"])
      try run(Floe.program, named + ["broken"])
      try run(
        "sh",
        ["-c", "cd \"$0/images\" && rm $(dirname $(grep -l broken */image.json))/*.floe", state])
      let socket = "\(scratch.path)/s"
      let service = try scratch.start(
        Floe.program, ["serve", "--state", state, "--listen", "unix:\(socket)"])
      try waitUntil("the service listens") {
        if service.hasEnded { throw HarnessError(service.errors) }
        return access(socket, F_OK) == 0
      }
      expectShown(try attempt(Floe.program, ["inspect", "floe+unix:\(socket)/broken"]))
      let mountpoint = try scratch.directory(Self.escape)
      try run(
        Floe.program,
        ["mount", "floe+unix:\(socket)/image", mountpoint, "--medium", "\(image)=\(image)"])
      expectShown(try attempt(Floe.program, ["images", "--state", state]))
      expectShown(try attempt(Floe.program, ["thaw", "image", "--state", state]))
      try run(Floe.program, ["umount", mountpoint])
      service.signal(SIGTERM)
      try service.wait(seconds: 60)
    }
  }
}
