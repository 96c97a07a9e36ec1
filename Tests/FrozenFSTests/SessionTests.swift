import CFuse3
import FrozenFS
import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

extension MountTests {
  /// Mounting, options, unmounting, and what goes wrong with them.
  @Suite struct Sessions {
    private func expectRefusal(
      _ expected: MountError, on path: String, options: [String] = []
    ) async throws {
      let image = try MemoryImage([])
      try await onThread {
        let error = #expect(throws: MountError.self) {
          _ = try FrozenMount(
            tree: image.tree, root: try #require(image.tree.roots.first).node, contents: image,
            control: NoControl(), mountpoint: path,
            options: MountOptions(source: "test", fuseOptions: options), logger: .silent)
        }
        #expect(error == expected, "\(error.map(String.init(describing:)) ?? "")")
      }
    }

    private func expectRefusal(
      of option: String, on path: String, saying words: String
    ) async throws {
      let image = try MemoryImage([])
      try await onThread {
        let error = #expect(throws: MountError.self) {
          _ = try FrozenMount(
            tree: image.tree, root: try #require(image.tree.roots.first).node, contents: image,
            control: NoControl(), mountpoint: path,
            options: MountOptions(source: "test", fuseOptions: [option]), logger: .silent)
        }
        let text = error.map(String.init(describing:)) ?? ""
        #expect(text.hasPrefix("mount option \(option): \(words)"), "\(text)")
      }
    }

    @Test func theMountTableShowsIt() async throws {
      let source = "floe+unix:/run/a b,c\\d/image"
      try await mounted(
        try MemoryImage([]), options: ["noexec", "defaults", "_netdev", "x-systemd.automount"],
        source: source
      ) { mount in
        let entry = try #require(mountEntry(mount.path))
        #expect(entry.type == "fuse.floe")
        #expect(entry.source == source)
        #expect(
          entry.options.isSuperset(of: [
            "ro", "nosuid", "nodev", "noexec", "default_permissions",
          ]))
      }
    }

    /// The image's top may have lain in a directory that kept others out.
    @Test func onlyWhoMountedMayComeInUnlessToldOtherwise() async throws {
      let image = try MemoryImage([sampleFile(inode: 300, size: 10)])
      try await mounted(image) { mount in
        #expect(try contents(of: "\(mount.path)/300").count == 10)
        #expect(mountEntry(mount.path)?.options.contains("allow_other") == false)
        let refused = try output(asUser: 1234, "stat -c %i \(mount.path)/300")
        #expect(refused.status != 0)
        #expect(refused.text.contains("Permission denied"), "\(refused.text)")
      }
      try await mounted(image, options: ["allow_other"]) { mount in
        let seen = try output(asUser: 1234, "stat -c %i \(mount.path)/300")
        #expect(seen.text == "300\n")
      }
    }

    @Test func theKernelReadsAhead() async throws {
      try await mounted(try MemoryImage([])) { mount in
        let device = try status(mount.path).st_dev
        let name = "\(gnu_dev_major(device)):\(gnu_dev_minor(device))"
        let kibibytes = try contents(of: "/sys/class/bdi/\(name)/read_ahead_kb")
        #expect(String(decoding: kibibytes, as: UTF8.self) == "4096\n")
      }
    }

    @Test func whatIsInUseIsNotUnmounted() async throws {
      let image = try MemoryImage([sampleFile(inode: 300, size: 10)])
      try await mounted(image) { mount in
        try opened("\(mount.path)/300") { _ in
          #expect(failure { umount2(mount.path, 0) } == EBUSY)
          let found = try contents(of: "\(mount.path)/300")
          #expect(found.count == 10)
        }
        try mount.unmount()
        #expect(!isMounted(mount.path))
      }
    }

    @Test func aSignalEndsAMountInUse() async throws {
      let image = try MemoryImage([sampleFile(inode: 300, size: 100_000)])
      for signal in [SIGTERM, SIGINT, SIGHUP] {
        try await mounted(image) { mount in
          try opened("\(mount.path)/300") { file in
            kill(getpid(), signal)
            try mount.waitForEnd()
            #expect(!isMounted(mount.path))
            var byte: UInt8 = 0
            #expect(failure { pread(file, &byte, 1, 50_000) } == ENOTCONN)
          }
        }
      }
    }

    @Test func aSecondMountInOnePlaceIsRefused() async throws {
      try await mounted(try MemoryImage([])) { mount in
        #expect(throws: MountError.mounted(path: mount.path)) {
          let image = try MemoryImage([])
          _ = try FrozenMount(
            tree: image.tree, root: try #require(image.tree.roots.first).node, contents: image,
            control: NoControl(), mountpoint: mount.path, options: MountOptions(source: "test"),
            logger: .silent)
        }
      }
    }

    @Test func aDeadMountIsNamed() async throws {
      let path = try temporaryDirectory()
      defer {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
      }
      try await onThread {
        let device = try check(open("/dev/fuse", O_RDWR), "open /dev/fuse")
        let data = "fd=\(device),rootmode=40000,user_id=0,group_id=0"
        try check(mount("dead", path, "fuse.floe", 0, data), "mount")
        close(device)
      }
      try await expectRefusal(.deadMount(path: path), on: path)
    }

    @Test func badMountpointsAreNamed() async throws {
      try await expectRefusal(
        .mountpoint(path: "/tmp/floe-none", reason: "No such file or directory"),
        on: "/tmp/floe-none")
      try await expectRefusal(.notADirectory(path: "/etc/passwd"), on: "/etc/passwd")
    }

    @Test func badOptionsAreNamed() async throws {
      let path = try temporaryDirectory()
      defer { rmdir(path) }
      try await expectRefusal(
        .option(word: "rw", reason: "a frozen image is read-only"), on: path, options: ["rw"])
      for word in ["sunshine", "nonsense=1", "allow_other=1"] {
        try await expectRefusal(of: word, on: path, saying: "there is no such option")
      }
      // libfuse takes these, and the kernel's first request then ends in a protocol error.
      for word in ["max_read=65536", "subtype=other"] {
        try await expectRefusal(of: word, on: path, saying: "floe settles this")
      }
    }
  }
}
