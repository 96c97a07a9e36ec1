import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  /// Whether the extents of a volume were its own all the time.
  @Suite("The history of a logical volume") struct History {
    private func freeze(_ disks: LVMDisks) throws -> StackSource {
      let freezer = try StackFreezer(
        StackPlace(
          start: .volumeGroup("vg"), selectors: ["root"], physicalVolumes: disks.images,
          assumesFrozen: true))
      let scratch = ArrayScratch()
      try freezer.describe(
        FrozenImageLabel(
          id: .random(), name: "image",
          created: Timestamp(seconds: Int64(time(nil)), nanoseconds: 0),
          host: "here", source: "vg/root", service: ""),
        scratch: scratch, progress: { _ in })
      let representation = try Representation(ArrayRegion(scratch.result))
      return StackSource(try freezer.image(), representation: { representation })
    }

    /// Why the image counts as thawed; empty when it does not.
    private func thaw(_ source: StackSource) throws -> String {
      do {
        try source.liveCheck()
        return ""
      } catch SourceError.thawed(let reason) {
        return reason
      }
    }

    /// Two disks, or one, whose extents all hold the same, so that no move has to copy them.
    private func blankDisks(_ count: Int) throws -> LVMDisks {
      let disks = try LVMDisks(count)
      try disks.makeGroup()
      for image in disks.images {
        try write([UInt8](repeating: 0, count: 7 << 20), to: image, at: 1 << 20)
      }
      return disks
    }

    private func root(_ place: String, status: [String] = ["READ", "WRITE"]) -> String {
      VolumeText.volume(
        "root", status: status, VolumeText.segments("striped", [place], extents: 8))
    }

    /// What pvmove commits while it copies.
    private func moving(_ from: String, _ to: String) -> [String] {
      let mirrors = [from, to].map { place in
        let words = place.split(separator: " ")
        return "\"\(words[0])\", \(words[1])"
      }.joined(separator: ", ")
      return [
        root("pvmove0 0", status: ["READ", "WRITE", "LOCKED"]),
        VolumeText.volume(
          "pvmove0", isVisible: false, status: ["READ", "WRITE", "PVMOVE", "LOCKED"],
          VolumeText.segment(
            "mirror", extents: 0..<8,
            "mirror_count = 2\nextents_moved = 1\nregion_size = 128\nmirrors = [ \(mirrors) ]")),
      ]
    }

    /// The very same extents, of the very same volume, with another's bytes.
    @Test func givenAwayAndBack() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 8 vg")
      let source = try freeze(disks)
      #expect(try thaw(source) == "")
      let before = try disks.layer("root")
      let runs = try #require(before.map).runs
      let address = try #require(before.base).offset + 5 * UInt64(LVMDisks.extentSize)
      try disks.lvm("lvreduce -y -f -l 4 vg/root")
      try disks.makeVolume("other", "-l 4 vg")
      try write([UInt8](repeating: 0xEE, count: 4096), to: disks.images[0], at: Int(address))
      try disks.lvm("lvremove -y vg/other")
      try disks.lvm("lvextend -l 8 vg/root")
      #expect(try #require(disks.layer("root").map).runs == runs)
      let reason = try thaw(source)
      #expect(reason.contains("extent 4 of the logical volume vg/root left it"), "\(reason)")
      // For good.
      try disks.lvm("vgchange --addtag one vg")
      #expect(try thaw(source).contains("left it"))
    }

    /// A place on a disk, by the name that the present text has for it.
    private func place(_ disk: Int, _ extent: Int, in disks: LVMDisks) throws -> String {
      var key = ""
      for line in try disks.metadata().split(separator: "\n") {
        let word = line.split { $0 == " " || $0 == "\t" }.first ?? ""
        if word.hasPrefix("pv"), line.hasSuffix("{") { key = String(word) }
        if line.contains("device = \"\(disks.devices[disk])\"") { return "\(key) \(extent)" }
      }
      throw CommandError(description: "the group has no disk \(disk)")
    }

    @Test(arguments: [true, false])
    func movedAwayAndBack(isAsked: Bool) throws {
      let disks = try blankDisks(2)
      try disks.restore(volumes: [root(place(0, 0, in: disks))])
      let source = try freeze(disks)
      for (from, to) in [((0, 0), (1, 4)), ((1, 4), (0, 0))] {
        try disks.restore(
          volumes: moving(
            place(from.0, from.1, in: disks), place(to.0, to.1, in: disks)))
        try disks.restore(volumes: [root(place(to.0, to.1, in: disks))])
        guard isAsked else { continue }
        let reason = try thaw(source)
        #expect(reason.isEmpty, "\(reason)")
      }
      // A copy to free extents that is committed at once.
      try disks.restore(volumes: [root(place(1, 20, in: disks))])
      let reason = try thaw(source)
      #expect(reason.isEmpty, "\(reason)")
    }

    /// A move to a place that is another's is none.
    @Test func swapped() throws {
      let disks = try blankDisks(1)
      func other(_ place: String) -> String {
        VolumeText.volume("other", VolumeText.segments("striped", [place], extents: 8))
      }
      try disks.restore(volumes: [root("pv0 0"), other("pv0 8")])
      let source = try freeze(disks)
      try disks.restore(volumes: [root("pv0 8"), other("pv0 0")])
      #expect(try thaw(source).contains("extent 0 of the logical volume vg/root left it"))
    }

    /// vgcfgrestore counts from the number of the text that it restores.
    @Test func restoredTextWithANumberThatComesAgain() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 8 vg")
      let text = try disks.metadata()
      try disks.lvm("vgchange --addtag one vg")
      let source = try freeze(disks)
      let number = try disks.group().group.sequenceNumber
      try disks.lvm("lvremove -y vg/root")
      try disks.makeVolume("other", "-l 8 vg")
      try disks.restore(text)
      #expect(try disks.group().group.sequenceNumber == number)
      let reason = try thaw(source)
      #expect(reason.contains("vg/root was removed by change \(number + 1)"), "\(reason)")
    }

    @Test func changesThatLeaveTheVolumeAlone() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-i 2 -l 8 vg")
      let source = try freeze(disks)
      for command in [
        "lvextend -i 2 -l 12 vg/root", "lvcreate -y -an -Zn -Wn -n other -l 4 vg",
        "lvreduce -y -f -l 8 vg/root", "vgchange --addtag one vg", "lvremove -y vg/other",
        "lvrename vg root same", "lvrename vg same root",
      ] {
        try disks.lvm(command)
      }
      #expect(try thaw(source) == "")
    }

    /// The ring is too small for all that happened since the freeze.
    @Test func ringThatWentRound() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup("--dataalignment 64k --metadatasize 32k")
      try disks.makeVolume("root", "-l 8 vg")
      let asked = try freeze(disks)
      let late = try freeze(disks)
      let later = try freeze(disks)
      let archive = "\(disks.directory)/system/archive"
      try shell("mkdir \(archive)")
      for turn in 0..<60 {
        // What lvm2 keeps before each command, where it is configured so.
        try disks.lvm("vgcfgbackup -f \(archive)/vg_\(turn).vg vg")
        try disks.lvm("vgchange --\(turn % 2 == 0 ? "add" : "del")tag one vg")
        if turn % 5 == 0 { #expect(try thaw(asked) == "") }
      }
      #expect(try thaw(asked) == "")
      let reason = try thaw(late)
      #expect(reason.contains("no text of the volume group vg is left"), "\(reason)")
      setenv("LVM_SYSTEM_DIR", "\(disks.directory)/system", 1)
      defer { unsetenv("LVM_SYSTEM_DIR") }
      #expect(try thaw(late) == "")
      try shell("rm \(archive)/vg_7.vg")
      #expect(try thaw(later).contains("no text of the volume group vg is left"))
    }

    /// lvm2 keeps its texts where lvm.conf says; the last of them is in its backup only.
    @Test func textsWhereTheConfigurationSays() throws {
      let disks = try LVMDisks(1)
      let system = "\(disks.directory)/system"
      let kept = "\(disks.directory)/kept elsewhere"
      try shell("mkdir -p '\(kept)/archive' '\(kept)/backup'")
      let configuration = """
        # of this host
        backup {
          archive_dir = "\(kept)/archive"
          backup_dir = "\(kept)/backup"
          retain_min = 200
        }
        """
      try write(Array(configuration.utf8), to: "\(system)/lvm.conf", at: 0)
      try disks.makeGroup("--dataalignment 64k --metadatasize 32k")
      try disks.makeVolume("root", "-l 8 vg")
      let source = try freeze(disks)
      let later = try freeze(disks)
      for turn in 0..<60 {
        try disks.lvm("vgchange --\(turn % 2 == 0 ? "add" : "del")tag one vg", keepsTexts: true)
      }
      #expect(try thaw(later).contains("no text of the volume group vg is left"))
      setenv("LVM_SYSTEM_DIR", system, 1)
      defer { unsetenv("LVM_SYSTEM_DIR") }
      #expect(MetadataArchive.directories() == ["\(kept)/archive", "\(kept)/backup"])
      let reason = try thaw(source)
      #expect(reason.isEmpty, "\(reason)")
      #expect(access("\(system)/archive", F_OK) != 0)
      // Nothing but the backup tells of the state before these.
      try shell("rm -r '\(kept)/archive'")
      try disks.lvm("vgcfgbackup vg", keepsTexts: true)
      try disks.lvm("vgchange --addtag two vg")
      let number = try disks.group().group.sequenceNumber
      let texts = MetadataArchive().texts(
        of: try disks.group().group.id, numbers: 0..<number, since: 0)
      #expect(texts.keys.sorted() == [number - 1])
    }

    /// Where lvm2 has no configuration, or is not there.
    @Test func textsByDefault() throws {
      let directory = try shell("mktemp -d /tmp/floe-lvm-conf-XXXXXX").trimmed
      defer { _ = try? shell("rm -r \(directory)", ignoringFailure: true) }
      setenv("LVM_SYSTEM_DIR", directory, 1)
      defer { unsetenv("LVM_SYSTEM_DIR") }
      let standard = ["\(directory)/archive", "\(directory)/backup"]
      #expect(MetadataArchive.directories() == standard)
      try write(Array("global { }\n".utf8), to: "\(directory)/lvm.conf", at: 0)
      #expect(MetadataArchive.directories() == standard)
      for (text, archive) in [
        ("backup { archive_dir = \"/a\"", standard[0]), ("backup { archive_dir = \"/a\" }", "/a"),
        ("backup { archive_dir = 7 }", standard[0]),
      ] {
        try write(Array(text.utf8), to: "\(directory)/lvm.conf", at: 0, truncating: true)
        #expect(MetadataArchive.directories() == [archive, standard[1]], "\(text)")
      }
    }
  }
}
