import FrozenImage
import Glibc
import HostSystem
import ImageReader
import LogicalRepresentation
import Media
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  /// A logical volume that is found again on its media alone.
  @Suite("Answers of the storage about a logical volume") struct StorageAnswers {
    /// Disks with the group, and 8 extents of "root" at the start of the first.
    private func makeDisks(_ count: Int = 2) throws -> LVMDisks {
      let disks = try LVMDisks(count)
      try disks.makeGroup()
      try disks.restore(volumes: [root(place(0, 0, in: disks))])
      return disks
    }

    private func root(_ place: String) -> String {
      VolumeText.volume("root", VolumeText.segments("striped", [place], extents: 8))
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

    private static let size = 8 * UInt64(LVMDisks.extentSize)

    /// What pvmove does: copies the extents, then commits that they lie elsewhere.
    ///
    /// - Parameter target: a disk, to whose extent 10 they go.
    private func move(to target: Int, of disks: LVMDisks) throws {
      let before = try disks.layer("root").bytes(at: 0, count: Int(Self.size))
      try write(before, to: disks.images[target], at: 1 << 20 + 10 * LVMDisks.extentSize)
      try disks.restore(volumes: [root(place(target, 10, in: disks))])
    }

    @Test func tellsTheSameAsTheProductionHost() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      #expect(try backup.answer().volume == nil)
      let place = StackPlace(
        start: .volumeGroup("vg"), selectors: ["root"], physicalVolumes: disks.images,
        assumesFrozen: true)
      let trail = try #require(backup.representation.volumes[0].trail.flatMap { StackTrail($0) })
      let host = StackSource(
        StackFreezer.Image(
          place: place, pins: try StackFinder(place).find().pins, kind: nil,
          witness: trail.witness), representation: { backup.representation })
      let frozen = try disks.layer("root").bytes(at: 0, count: Int(Self.size))
      for target in [1, 0, 1] {
        try move(to: target, of: disks)
        let own = try backup.answer()
        let other = try host.answer(
          MappingQuestion(
            known: backup.state, found: backup.state.configurationID, portions: []))
        #expect(own.state == other.state)
        #expect(try #require(own.volume).map.extents == #require(other.volume).map.extents)
        // By the names of the production host.
        #expect(own.volume?.media == other.volume?.media)
        #expect(try backup.bytes(by: own, on: disks, count: Self.size) == frozen)
      }
    }

    /// The group is committed between the reader's look and the answer: nothing stays behind.
    @Test func anEarlierMomentIsNotBehind() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      try disks.lvm("vgchange --addtag one vg")
      let found = try backup.answer().state.configurationID
      try disks.lvm("vgchange --addtag two vg")
      let answer = try backup.source.answer(
        MappingQuestion(known: backup.state, found: found, portions: []))
      #expect(answer.state.configurationID != found)
      #expect(answer.behind.isEmpty)
    }

    /// Takes a new disk into the group, and moves the volume to it.
    ///
    /// - Parameter options: of pvcreate.
    private func moveToNewDisk(of disks: LVMDisks, _ options: String = "") throws {
      let device = try disks.addDisk()
      try disks.lvm("pvcreate -y \(options) \(device)")
      try disks.lvm("vgextend vg \(device)")
      try move(to: 1, of: disks)
    }

    /// Without a metadata area only its label tells what the new member is.
    @Test(arguments: ["", "--metadatacopies 0"])
    func movedToAMemberThatCameLater(_ options: String) throws {
      let disks = try makeDisks(1)
      let backup = try StorageBackup(disks, byDevice: true)
      let frozen = try disks.layer("root").bytes(at: 0, count: Int(Self.size))
      try moveToNewDisk(of: disks, options)
      let answer = try backup.answer()
      #expect(try backup.bytes(by: answer, on: disks, count: Self.size) == frozen)
    }

    /// The rules of the mount hold for what the group names: nothing else is taken, and of two
    /// clones none.
    @Test func aMemberThatMayNotBeTaken() throws {
      let disks = try makeDisks(1)
      let elsewhere = try #require(MediaPatterns(["/nowhere/*"]))
      let closed = [
        try StorageBackup(disks, finder: nil, byDevice: true),
        try StorageBackup(
          disks, finder: MediumFinder(named: [:], trust: MediumTrust(limits: [elsewhere])),
          byDevice: true),
        // The text of a group in a file may be a guest's, which names the disks of others.
        try StorageBackup(disks),
      ]
      let backup = try StorageBackup(disks, byDevice: true)
      try moveToNewDisk(of: disks)
      for host in closed {
        guard case .failed(let reason)? = host.refusal() else {
          Issue.record("it was answered")
          continue
        }
        #expect(reason.contains("is missing"), "\(reason)")
      }
      _ = try disks.addDisk(copyOf: 1)
      guard case .failed? = backup.refusal() else {
        Issue.record("it was answered")
        return
      }
    }

    /// The group leaves all media of the freeze, step by step.
    @Test func theGroupLeavesTheMediaOfTheFreeze() throws {
      let disks = try makeDisks(1)
      let backup = try StorageBackup(disks, byDevice: true)
      let unaware = try StorageBackup(disks, byDevice: true)
      let frozen = try disks.layer("root").bytes(at: 0, count: Int(Self.size))
      let device = try disks.addDisk()
      try disks.lvm("pvcreate -y \(device)")
      try disks.lvm("vgextend vg \(device)")
      _ = try backup.answer()
      try move(to: 1, of: disks)
      try disks.lvm("vgreduce vg \(disks.devices[0])")
      let answer = try backup.answer()
      #expect(try backup.bytes(by: answer, on: disks, count: Self.size) == frozen)
      // Who did not look meanwhile has nothing that names the new member.
      guard case .failed? = unaware.refusal() else {
        Issue.record("it was answered")
        return
      }
    }

    /// One of the devices is a clone from before the last commit.
    @Test func aSetOfTwoMomentsIsNotBelieved() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      let trail = try #require(backup.representation.volumes[0].trail.flatMap { StackTrail($0) })
      let clone = "\(disks.directory)/clone"
      try shell("cp \(disks.images[1]) \(clone)")
      try disks.lvm("vgchange --addtag one vg")
      let media = try [disks.devices[0], clone].map { try OpenMedium(path: $0, isShared: true) }
      let finder = StorageFinder(trail, media: { media }, take: { _ in nil })
      #expect {
        try finder.find()
      } throws: { error in
        (error as? StackError)?.code == .unreachable && "\(error)".contains(clone)
      }
      // The others are of one moment.
      _ = try backup.answer()
    }

    /// What is looked for is what is found, by the same identifier.
    @Test func membersAreKnownByTheirLabels() throws {
      let disks = try makeDisks()
      let whole = try disks.group()
      let layers = try disks.layers()
      let half = try LVMDisks.group(on: [layers[0]])
      let sought = try #require(half.missing.first)
      let stack = try Stack(top: Layer(whole.map(whole.choose("root"))))
      let medium = try #require(stack.media().first { $0.path == disks.images[1] })
      #expect(half.missing.count == 1 && whole.missing.isEmpty)
      #expect(sought.id == medium.id)
      #expect(sought.identity == medium.identity && sought.identityBytes == medium.identityBytes)
    }

    @Test func whatIsNoMoreIsThawed() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      try disks.lvm("lvremove -y vg/root")
      #expect(
        backup.refusal()
          == .thawed("the logical volume vg/root that was frozen was removed from its group"))
    }

    /// A path that leads to another disk shows no image, and says nothing of ours.
    @Test func anotherMediumIsNoThaw() throws {
      let disks = try makeDisks(1)
      let backup = try StorageBackup(disks)
      let image = try contents(of: Array(disks.images[0].utf8))
      try write([UInt8](repeating: 7, count: 2 << 20), to: disks.images[0], at: 0)
      guard case .failed? = backup.refusal() else {
        Issue.record("it was answered, or is thawed")
        return
      }
      try write(image, to: disks.images[0], at: 0)
      #expect(backup.refusal() == nil)
    }

    @Test func extentsThatWereGivenAwayAreThawed() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      try disks.lvm("lvreduce -y -f -l 4 vg/root")
      try disks.lvm("lvextend -l 8 vg/root \(disks.devices[0])")
      guard case .thawed(let reason)? = backup.refusal() else {
        Issue.record("it was answered")
        return
      }
      #expect(reason.contains("extent 4 of the logical volume vg/root left it"), "\(reason)")
    }

    @Test func aVolumeThatWasWrittenIsThawed() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      try write([1, 2, 3], to: disks.images[0], at: 1 << 20 + 100)
      guard case .thawed? = backup.refusal() else {
        Issue.record("it was answered")
        return
      }
    }

    /// A member of which this host sees only what it was: nothing tells what became of the rest.
    @Test func aMissingMemberMakesNoThaw() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      let copy = "\(disks.directory)/behind"
      try shell("cp \(disks.images[1]) \(copy)")
      try disks.restore(volumes: [root(place(0, 0, in: disks))])
      let backup = try StorageBackup(disks)
      let trail = try #require(backup.representation.volumes[0].trail.flatMap { StackTrail($0) })
      // A disk that stayed behind, from before there was the volume.
      let old = try OpenMedium(path: copy, isShared: true)
      let finder = StorageFinder(trail, media: { [old] }, take: { _ in nil })
      #expect {
        try finder.find()
      } throws: { error in
        (error as? StackError)?.isGone == false
      }
    }

    /// What another host's lvm2 kept may be of a clone: where the media do not tell, nobody is
    /// told anything.
    @Test func historyOnTheMediaAlone() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      _ = try backup.answer()
      // A state that no text of the ring has.
      let cursor = [UInt8](repeating: 0, count: 12)
      let trail = try #require(backup.representation.volumes[0].trail.flatMap { StackTrail($0) })
      let media = try disks.devices.map { try OpenMedium(path: $0, isShared: true) }
      let stack = try StorageFinder(trail, media: { media }, take: { _ in nil }).find().stack
      #expect {
        _ = try stack.departure(since: cursor, frozen: 0)
      } throws: { error in
        "\(error)".contains("no text of the volume group vg is left")
      }
    }

    @Test(arguments: [
      "", "floe stack 2\ntitle a\nwitness ", "floe stack 1\ntitle a\nwitness 0",
      "floe stack 1\ntitle a\nwitness +1", "floe stack 1\nwitness 00", "floe stack 1\ntitle a",
      "floe stack 1\ntitle a\nwitness 00\nother b",
      "floe stack 1\ntitle a\nwitness 00" + String(repeating: "\npin a", count: 17),
    ])
    func trailsThatMakeNoSense(_ text: String) {
      let trail = StorageTrail(provider: "stack", bytes: Array(text.utf8))
      #expect(trail.flatMap { StackTrail($0) } == nil)
    }

    @Test func trailsNameNoPath() throws {
      let disks = try makeDisks()
      let backup = try StorageBackup(disks)
      let trail = try #require(backup.representation.volumes[0].trail)
      let text = String(decoding: trail.bytes, as: UTF8.self)
      #expect(!text.contains(disks.directory) && !text.contains("/dev/"), "\(text)")
      #expect(StackTrail(trail)?.encoded == trail)
    }
  }
}
