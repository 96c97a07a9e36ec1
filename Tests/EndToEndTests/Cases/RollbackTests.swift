import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// A storage that is taken back to an earlier time, and goes on from there until its file
  /// system shows a configuration ID that it showed before.
  @Suite("Rollback of the storage", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Rollback {
    /// A volume with two histories, in which the same happens with other bytes.
    private final class Histories {
      let scratch: Scratch
      let volume: Volume
      let production: ProductionHost
      private let before: String

      var device: Volume.Device { volume.devices[0] }
      var file: String { "\(scratch.path)/image.floe" }
      var media: [(id: String, path: String)] { [(device.medium, device.loop)] }

      init() throws {
        scratch = try Scratch()
        volume = try Volume(.single, in: scratch, megabytes: 256)
        production = try ProductionHost(in: scratch)
        before = "\(scratch.path)/before"
        let source = "\(volume.mountpoint)/data"
        try run("btrfs", ["subvolume", "create", source])
        try writeFile("\(source)/summed", Array(repeating: 0x11, count: 100_000))
        try writeFile("\(source)/unsummed", [])
        try run("chattr", ["+C", "\(source)/unsummed"])
        try writeFile("\(source)/unsummed", Array(repeating: 0x11, count: 1 << 20))
        try volume.sync()
        try volume.unmount()
        try copy(device.image, to: before)
      }

      /// Writes into the file in place and freezes into the file of that name; the file
      /// system rests afterwards.
      ///
      /// - Returns: what of the superblock is the witness.
      func goOn(writing byte: UInt8, name: String) throws -> [String] {
        try volume.mount()
        let source = "\(volume.mountpoint)/data"
        let bytes = "\(scratch.path)/bytes"
        try writeFile(bytes, Array(repeating: byte, count: 1 << 20))
        try run(
          "dd",
          ["if=\(bytes)", "of=\(source)/unsummed", "bs=1M", "conv=notrunc", "oflag=direct"])
        try volume.sync()
        let outcome = try production.floe(
          "freeze", source, "--name", name, "-o", "\(scratch.path)/\(name).floe")
        guard outcome.succeeded else { throw HarnessError(outcome.errors) }
        try volume.unmount()
        return try run("btrfs", ["inspect-internal", "dump-super", device.loop])
          .split(separator: "\n").map(String.init)
          .filter { ["generation", "root", "chunk_root"].contains($0.prefix { !$0.isWhitespace }) }
      }

      /// Reverts the array's snapshot.
      func takeBack() throws {
        try copy(before, to: device.image)
        try run("blockdev", ["--flushbufs", device.loop])
      }

      private func copy(_ from: String, to: String) throws {
        try run("cp", ["--sparse=always", from, to])
      }
    }

    /// What reading the file gives: the image's bytes, or an error.
    private func expectNoTwin(
      _ backup: BackupHost, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let read = try attempt("cat", ["\(backup.mountpoint)/unsummed"])
      #expect(!read.output.contains("b"), "other bytes were read", sourceLocation: sourceLocation)
      #expect(
        !read.succeeded && read.errors.contains("Input/output error"), "\(read.errors)",
        sourceLocation: sourceLocation)
    }

    @Test("An image that is mounted afterwards shows no byte of the other history")
    func mountedAfterwards() throws {
      let histories = try Histories()
      let first = try histories.goOn(writing: UInt8(ascii: "a"), name: "image")
      let options = ["--remap-timeout", "1"]
      let right = try BackupHost(
        histories.file, media: histories.media, options: options, in: histories.scratch)
      let bytes = try readFile("\(right.mountpoint)/unsummed")
      #expect(bytes == Array(repeating: UInt8(ascii: "a"), count: 1 << 20))
      try right.unmount()

      try histories.takeBack()
      let second = try histories.goOn(
        writing: UInt8(ascii: "b"), name: "other")
      // Else this case looks at nothing.
      try #require(first == second)
      let backup = try BackupHost(
        histories.file, media: histories.media, options: options, in: histories.scratch,
        name: "afterwards")
      try expectNoTwin(backup)
      #expect(backup.process.errors.contains("taken back"), "\(backup.process.errors)")
      try backup.unmount()
    }

    @Test("An image that stays mounted meanwhile, at rest, shows none either")
    func mountedMeanwhile() throws {
      let histories = try Histories()
      let first = try histories.goOn(writing: UInt8(ascii: "a"), name: "image")
      let backup = try BackupHost(
        histories.file, media: histories.media, options: ["--remap-timeout", "1"],
        in: histories.scratch)
      let summed = try readFile("\(backup.mountpoint)/summed")
      #expect(summed == Array(repeating: 0x11, count: 100_000))
      try histories.takeBack()
      let second = try histories.goOn(
        writing: UInt8(ascii: "b"), name: "other")
      try #require(first == second)
      // A look at the marks holds for a second at most; to take a storage back takes longer
      // than here.
      usleep(1_100_000)
      try expectNoTwin(backup)
      try backup.unmount()
    }

    @Test("The production host says that the image of the other history is thawed")
    func served() throws {
      let histories = try Histories()
      let first = try histories.goOn(writing: UInt8(ascii: "a"), name: "image")
      try histories.takeBack()
      let second = try histories.goOn(
        writing: UInt8(ascii: "b"), name: "other")
      try #require(first == second)
      try histories.volume.mount()
      try histories.production.serve()
      let mountpoint = try histories.scratch.directory("backup")
      let mount = try attempt(
        Floe.program,
        [
          "mount", histories.production.source("image"), mountpoint, "--medium",
          "\(histories.device.medium)=\(histories.device.loop)",
        ])
      #expect(!mount.succeeded && mount.errors.contains("no longer frozen"), "\(mount.errors)")
      #expect(!BackupHost.isMounted(mountpoint))
    }
  }
}
