import FoundationEssentials
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// `mount -t floe`, /etc/fstab, and what lists mounts and images on a backup host.
  @Suite("The habits of a Linux host", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Habits {
    /// Runs a script where mount(8) finds floe as its helper, and no other one.
    private func script(_ site: Site, _ text: String) throws -> String {
      let programs = try site.scratch.directory("sbin")
      try run("ln", ["-sfn", Floe.program, "\(programs)/mount.floe"])
      let place = try site.scratch.directory("place")
      return try run(
        "unshare",
        [
          "-m", "--propagation", "private", "bash", "-ec",
          "mount --bind '\(programs)' /usr/sbin\nplace='\(place)'\nfloe='\(Floe.program)'\n\(text)",
        ])
    }

    @Test("mount(8) mounts an image, from the command line and from fstab")
    func helper() throws {
      let site = try Site(small: .single)
      let source = site.production.source(Site.image)
      let medium = "\(site.volume.devices[0].medium)=\(site.volume.devices[0].loop)"
      let options = "ro,medium=\(medium),remap-timeout=7,view=tree,answers=host"
      let fstab = "\(site.scratch.path)/fstab"
      try writeFile(
        fstab,
        "\(source) \(site.scratch.path)/place floe noauto,nofail,_netdev,\(options) 0 0\n".utf8)
      let said = try script(
        site,
        """
        mount -t floe '\(source)' "$place" -o '\(options)' >/dev/null
        findmnt -n -o FSTYPE,SOURCE "$place"
        cmp "$place/files/0/7" '\(site.snapshot)/files/0/7'
        umount "$place"
        mount -T '\(fstab)' "$place" >/dev/null
        ls "$place"
        umount "$place"
        status=0
        mount -t floe '\(source)-not' "$place" || status=$?
        echo $status
        status=0
        mount -t floe '\(source)' "$place" -o view=nothing 2>/dev/null || status=$?
        echo $status
        mount -f -t floe '\(source)' "$place"
        ! mountpoint -q "$place"
        mount -v -s -t floe '\(source)' "$place" -o 'silent,\(options)' >/dev/null
        umount "$place"
        """)
      #expect(
        said == "fuse.floe \(source)\nfiles\nstorage\n32\n1\n", "\(said)")
    }

    @Test("All mounts of a host are listed, each with its state")
    func mounts() throws {
      struct Row: Decodable {
        let mountpoint: String
        let state: String
        let image: String?
      }
      let site = try Site(small: .single)
      func rows() throws -> [Row] {
        let outcome = try attempt(Floe.program, ["status", "--json"])
        return try JSONDecoder().decode([Row].self, from: Data(outcome.output.utf8))
          .filter { $0.mountpoint.hasPrefix(site.scratch.path) }
      }
      #expect(try rows().isEmpty)
      let first = try site.mount(name: "first")
      let second = try site.mount(name: "second")
      #expect(try rows().map(\.state) == ["working", "working"])
      #expect(try rows().map(\.image) == [Site.image, Site.image])
      first.process.signal(SIGKILL)
      try first.process.wait()
      #expect(try rows().map(\.state) == ["dead", "working"])
      let text = try attempt(Floe.program, ["status"])
      #expect(text.ending != .exited(0))
      #expect(text.output.contains("floe umount \(first.mountpoint)"), "\(text.output)")
      try run(Floe.program, ["umount", first.mountpoint])
      try second.unmount()
    }

    @Test("A backup host lists the images of a service, the oldest first")
    func images() throws {
      struct Row: Decodable {
        let name: String
        let state: String
        let source: String
      }
      let site = try Site(small: .single)
      try site.production.freeze(site.source, name: "another")
      let service = "floe+unix:\(site.production.socket)"
      let json = try run(Floe.program, ["images", service, "--json"])
      let rows = try JSONDecoder().decode([Row].self, from: Data(json.utf8))
      #expect(rows.map(\.name) == [Site.image, "another"])
      #expect(rows.allSatisfy { $0.state == "frozen" && $0.source == site.source })
      let ours = try run(Floe.program, ["images", service])
      let theirs = try site.production.floe("images").output
      #expect(ours == theirs)
      let wrong = try attempt(Floe.program, ["images", "/nowhere"])
      #expect(wrong.errors.contains("is not the address of a service"), "\(wrong.errors)")
    }
  }
}
