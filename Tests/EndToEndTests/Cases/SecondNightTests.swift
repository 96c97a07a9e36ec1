import TestTags
import Testing

extension EndToEnd {
  /// A backup tool decides by path, inode number, size and times what it need not read again.
  /// Two nights of the same tree, each in an image of its own mounted at the same path: on
  /// the second one the tools read what changed, and nothing else.
  @Suite("The second night", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct SecondNight {
    /// What the tree is on, and how it is frozen.
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
      case reflinkCopies = "XFS by reflink copies"
      case btrfsSnapshots = "btrfs by snapshots"

      var testDescription: String { rawValue }
    }

    private static let files = 400
    private static let changed = 5
    private static let size = 64 << 10

    /// Bytes that a tool read through the mount during one night.
    private struct Night {
      var bytes: [String: UInt64] = [:]
    }

    @Test(
      "restic, borg, rsync and tar read what changed since the night before, and no more",
      arguments: Kind.allCases)
    func tools(_ kind: Kind) throws {
      let scratch = try Scratch()
      let place = try Self.place(kind, in: scratch)
      let source = place.source
      try run(
        "python3",
        [
          "-c",
          """
          import os
          for number in range(\(Self.files)):
              folder = "\(source)/%d" % (number % 7)
              os.makedirs(folder, exist_ok=True)
              with open("%s/%d" % (folder, number), "wb") as file: file.write(os.urandom(\(Self.size)))
          os.link("\(source)/0/0", "\(source)/1/linked")
          """,
        ])
      let production = try ProductionHost(in: scratch)
      try run("sh", ["-c", "echo secret >\(scratch.path)/password"])
      try run(
        "restic",
        ["init", "-q", "-p", "\(scratch.path)/password", "-r", "\(scratch.path)/restic"])
      try run(
        "env",
        [
          "BORG_BASE_DIR=\(scratch.path)/borg-home", "borg", "init", "-e", "none",
          "\(scratch.path)/borg",
        ])
      let first = try night(1, of: source, production, place, scratch)
      // The files that are new or other are as many bytes as these.
      try run(
        "sh",
        [
          "-c",
          "cd \(source) && for n in 3 10 17 24; do head -c \(Self.size) /dev/urandom >3/$n; done; "
            + "head -c \(Self.size) /dev/urandom >3/new; rm 4/4; mv 5/5 5/moved",
        ])
      let second = try night(2, of: source, production, place, scratch)
      let all = UInt64(Self.files * Self.size)
      print("bytes read by \(kind.rawValue): \(first.bytes), then \(second.bytes)")
      for (tool, bytes) in first.bytes { #expect(bytes >= all, "\(tool)") }
      // A file that was moved is new to a tool that knows files by their paths.
      let most = UInt64((Self.changed + 1) * Self.size)
      // borg does not remember the files that were the newest ones of the night before.
      let newest = UInt64(3 * Self.size)
      for (tool, bytes) in second.bytes {
        #expect(bytes <= most + (tool == "borg" ? newest : 0), "\(tool) read \(bytes) bytes")
      }
      #expect(second.bytes.count == 4)
    }

    @Test("What floe diff lists brings the copy of the first night up to date by rsync")
    func difference() throws {
      let scratch = try Scratch()
      let place = try Self.place(.btrfsSnapshots, in: scratch)
      let production = try ProductionHost(in: scratch)
      let source = place.source
      try fill(source)
      try production.freeze(source, name: "one")
      try change(source)
      try production.freeze(source, name: "two")
      try production.serve()
      let images = [production.source("one"), production.source("two")]
      let told = try run(Floe.program, ["diff"] + images).split(separator: "\n").map(String.init)
      #expect(
        Set(told) == [
          // The second one set its modification time back.
          "M a/3  (content, time)", "M a/4  (content)", "M a/5  (content, permissions)",
          "M a/6  (content, attributes)", "- a/7", "+ a/moved", "- a/8", "- gone", "- gone/x",
          "+ new", "+ new/file", "M a/link  (content, time)", "M a  (time)", "M .  (time)",
        ])
      let backup = try BackupHost(images[0], media: place.media, in: scratch)
      let copy = try scratch.directory("copy")
      try run("rsync", ["-aHAX", "\(backup.mountpoint)/", copy])
      try backup.unmount()
      let now = try BackupHost(images[1], media: place.media, in: scratch)
      try run(
        "sh",
        [
          "-ec",
          "\(Floe.program) diff -0 \(images[0]) \(images[1]) | "
            + "rsync -aHAXI --from0 --files-from=- --no-recursive \(now.mountpoint)/ \(copy)/; "
            + "cd \(copy); rm -r gone a/7 a/8; touch -r \(now.mountpoint)/a a; "
            + "touch -r \(now.mountpoint) .",
        ])
      try Manifest(.copy, of: copy).expectSame(as: Manifest(.copy, of: now.mountpoint), "the copy")
      #expect(try run(Floe.program, ["diff", images[0], images[0]]).isEmpty)
      try now.unmount()
    }

    private func fill(_ source: String) throws {
      try run(
        "sh",
        [
          "-ec",
          """
          cd \(source); mkdir -p a/b gone
          for n in $(seq 40); do head -c 20000 /dev/urandom >a/$n; done
          cp a/1 "a/b/name
          of two lines"; cp a/2 gone/x; ln -s 1 a/link; mkfifo a/pipe
          # What was changed just before it was frozen counts as changed.
          sleep 4
          """,
        ])
    }

    private func change(_ source: String) throws {
      try run(
        "sh",
        [
          "-ec",
          """
          cd \(source)
          head -c 20000 /dev/urandom | dd of=a/3 conv=notrunc status=none
          touch -r a/4 reference; head -c 20000 /dev/urandom | dd of=a/4 conv=notrunc status=none
          touch -r reference a/4; rm reference
          chmod 600 a/5; setfattr -n user.x -v y a/6; mv a/7 a/moved; rm -r gone a/8
          mkdir new; echo new >new/file; ln -sfn 2 a/link
          """,
        ])
    }

    private struct Place {
      /// Keeps the volume.
      let volume: Volume?
      let source: String
      let media: [(id: String, path: String)]
    }

    private static func place(_ kind: Kind, in scratch: Scratch) throws -> Place {
      switch kind {
      case .reflinkCopies:
        let image = "\(scratch.path)/xfs.img"
        try run("truncate", ["-s", "512M", image])
        try run("mkfs.xfs", ["-q", image])
        let mountpoint = try scratch.directory("mounted")
        try run("mount", ["-o", "loop", image, mountpoint])
        try run("mkdir", ["\(mountpoint)/data"])
        return Place(
          volume: nil, source: "\(mountpoint)/data", media: [(id: image, path: image)])
      case .btrfsSnapshots:
        let volume = try Volume(.single, in: scratch, megabytes: 1024)
        try run("btrfs", ["subvolume", "create", "\(volume.mountpoint)/data"])
        return Place(
          volume: volume, source: "\(volume.mountpoint)/data",
          media: volume.devices.map { ($0.medium, $0.loop) })
      }
    }

    private func night(
      _ number: Int, of source: String, _ production: ProductionHost, _ place: Place,
      _ scratch: Scratch
    ) throws -> Night {
      let name = "night-\(number)"
      try run(Floe.program, ["freeze", source, "--name", name, "--state", production.state])
      if number == 1 { try production.serve() }
      var night = Night()
      let home = scratch.path
      let jobs = [
        "restic":
          "restic backup -q -p \(home)/password --cache-dir \(home)/restic-cache -r \(home)/restic .",
        "borg": "env BORG_BASE_DIR=\(home)/borg-home borg create \(home)/borg::\(name) .",
        "rsync": "rsync -aHAX --delete ./ \(home)/rsync/",
        "tar":
          "tar --create --no-check-device --listed-incremental=\(home)/tar.list "
          + "--file=\(home)/\(name).tar .",
      ]
      for (tool, job) in jobs {
        let backup = try BackupHost(
          production.source(name), media: place.media, in: scratch,
          name: "mounted-image")
        try run("sh", ["-c", "cd \(backup.mountpoint) && exec \(job)"])
        let status = try backup.status()
        #expect(status.errors == 0, "\(tool): \(status)")
        night.bytes[tool] = status.bytes.storage + status.bytes.production_host
        try backup.unmount()
      }
      #expect(try production.floe("thaw", name).succeeded)
      return night
    }
  }
}
