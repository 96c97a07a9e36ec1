import FoundationEssentials
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// `floe doctor` on a real host: real lvm2, real md superblocks, real mounts.
  @Suite("The doctor", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Doctor {
    private struct Report: Decodable {
      struct Finding: Decodable {
        let check: String
        let state: String
        let subject: String?
        let what: String
        let meaning: String?
        let advice: String?
      }
      let wrong_count: Int
      let findings: [Finding]
    }

    /// What is not well with a medium, and whether the exit status says so.
    private func wrong(_ words: String..., environment: [String] = []) throws -> [String] {
      let outcome = try attempt("env", environment + [Floe.program, "doctor", "--json"] + words)
      let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
      #expect(outcome.ending == .exited(report.wrong_count == 0 ? 0 : 4))
      let wrong = report.findings.filter { $0.state == "wrong" }
      #expect(wrong.count == report.wrong_count)
      #expect(wrong.allSatisfy { $0.meaning != nil && $0.advice != nil })
      return wrong.map { "\($0.check): \($0.what)" }
    }

    private func device(_ scratch: Scratch, megabytes: Int = 64) throws -> String {
      let image = "\(scratch.path)/disk"
      try run("truncate", ["-s", "\(megabytes)M", image])
      return try Volume.attach(image)
    }

    @Test("A volume group that lvm2 of this host would activate, and one that it is kept from")
    func volumeGroup() throws {
      let scratch = try Scratch()
      let device = try device(scratch)
      let system = try scratch.directory("lvm")
      let group = "floe\(getpid())doctor"
      func configure(_ filter: String, _ activation: String = "") throws {
        let text = """
          devices { filter = [ \(filter) ] use_devicesfile = 0 obtain_device_list_from_udev = 0 }
          activation { \(activation) }
          backup { backup = 0 archive = 0 }
          """
        try writeFile("\(system)/lvm.conf", Array(text.utf8))
      }
      let environment = ["LVM_SYSTEM_DIR=\(system)"]
      let ours = "\"a|^\(device)$|\", \"r|.*|\""
      try configure(ours)
      #expect(try wrong("--device", device, environment: environment).isEmpty)
      try run("env", environment + ["lvm", "vgcreate", "--driverloaded", "n", group, device])
      let activates = [
        "bystander: lvm2 of this host sees the volume group \(group), and activates it when the "
          + "device appears or this host starts"
      ]
      #expect(try wrong("--device", device, environment: environment) == activates)
      try configure("\"r|.*|\"")
      #expect(try wrong("--device", device, environment: environment).isEmpty)
      try configure(ours, "auto_activation_volume_list = []")
      #expect(try wrong("--device", device, environment: environment).isEmpty)
      // lvm2 sees a file by the loop device over it, and only by that.
      try configure(ours)
      let file = "\(scratch.path)/disk"
      #expect(try wrong("--device", file, environment: environment) == activates)
      try run("losetup", ["-d", device])
      #expect(try wrong("--device", file, environment: environment).isEmpty)
    }

    @Test("A device that is mounted here, a file that is through a loop device, and neither")
    func mounted() throws {
      let scratch = try Scratch()
      let device = try device(scratch)
      try run("mkfs.ext4", ["-q", device])
      #expect(try wrong("--device", device).isEmpty)
      let place = try scratch.directory("place")
      try run("mount", [device, place])
      let said = ["bystander: this host has it mounted on \(place)"]
      #expect(try wrong("--device", device) == said)
      #expect(try wrong("--device", "\(scratch.path)/disk") == said)
      try run("umount", [place])
      #expect(try wrong("--device", device).isEmpty)
      #expect(
        try wrong("--device", "\(scratch.path)/nothing") == [
          "medium: it cannot be read: No such file or directory"
        ])
    }

    @Test("A source: its service, clock and media, which are the production host's own")
    func source() throws {
      let site = try Site(small: .single)
      let socket = site.production.socket
      let outcome = try attempt(Floe.program, ["doctor", site.production.source(Site.image)])
      #expect(outcome.succeeded, "\(outcome.output)")
      for text in [
        "answers; it has 1 frozen images", "its clock and this host's agree to",
        "found by its identifier", "this host is the production host of it", "nothing is wrong",
      ] {
        #expect(outcome.output.contains(text), "\(text) is not in \(outcome.output)")
      }
      #expect(try wrong("floe+unix:\(socket)").isEmpty)
      let backup = try site.mount()
      let mounts = try attempt(Floe.program, ["doctor"])
      #expect(
        mounts.output.contains("\(backup.mountpoint): every read of image was answered so far"),
        "\(mounts.output)")
      try backup.unmount()
      try site.production.killService()
      let away = try wrong("floe+unix:\(socket)")
      #expect(away.count == 1 && away[0].hasPrefix("connection: "), "\(away)")
      // A representation's file is read without a service: then this host is no owner of it.
      let file = "\(site.scratch.path)/image.floe"
      try run(
        Floe.program,
        ["freeze", site.snapshot, "--name", "other", "-o", file, "--state", site.production.state])
      let found = try wrong(file)
      #expect(
        found.contains("bystander: this host has it mounted on \(site.volume.mountpoint)"),
        "\(found)")
    }
  }
}
