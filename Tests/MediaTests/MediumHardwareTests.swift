import FrozenImage
import ImageReader
import Media
import TestTags
import Testing

/// What carries the right bytes may be the wrong device: a clone of the LUN.
@Suite(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
struct MediumHardwareTests {
  private static let frozen = "naa.600a098038303053453f463045727a56"
  private static let other = "naa.600a098038303053453f463045727a57"

  private let file: RandomFile
  private let clone: RandomFile
  private let original: LoopDevice
  private let copy: LoopDevice
  private let tree: DeviceTree

  init() throws {
    file = try RandomFile(count: 1 << 20)
    clone = try RandomFile(count: 1 << 20)
    try clone.becomeClone(of: file)
    original = try LoopDevice(over: file.path)
    copy = try LoopDevice(over: clone.path)
    tree = try DeviceTree()
  }

  private func finder(_ named: [String: String] = [:]) -> MediumFinder {
    MediumFinder(named: named, sysfs: tree.sysfs)
  }

  private func frozenMedium() throws -> MediumDescription {
    try description(of: file, hardwareID: Self.frozen)
  }

  private var witness: [UInt8] { Array(file.bytes[16..<24]) }

  @Test func aCloneWithAnIdentifierOfItsOwnIsRefused() throws {
    try tree.add(copy.path, ["device/wwid": Self.other])
    let description = try frozenMedium()
    for witness in [nil, witness] {
      let error = #expect(throws: MediumFinder.Failure.self) {
        try finder().find(description, witness: witness)
      }
      let sentence = "\(error.map { "\($0)" } ?? "")"
      for part in [copy.path, Self.other, Self.frozen, "--medium"] {
        #expect(sentence.contains(part))
      }
    }
    // Who names it knows better.
    let named = finder(["7": copy.path])
    #expect(try named.find(description, witness: nil).path == copy.path)
    #expect(try named.find(description, witness: witness).path == copy.path)
  }

  /// What only other media name has no recorded hardware to tell it from a clone.
  @Test func whatNobodyDescribedIsTakenOnlyWhereItIsAlone() throws {
    try tree.add(copy.path, ["device/wwid": Self.other])
    let description = try description(of: file, hardwareID: "")
    #expect(try finder().findSole(description).path == copy.path)
    try tree.add(original.path, ["device/wwid": Self.frozen])
    let error = #expect(throws: MediumFinder.Failure.self) {
      try finder().findSole(description)
    }
    #expect(error?.code == .invalid && error?.description.contains(copy.path) == true)
    #expect(try finder(["7": original.path]).findSole(description).path == original.path)
  }

  /// A set of copies of one moment has no original in it, and nothing that nobody named.
  @Test func copiesAndOriginalsAreToldApart() throws {
    try tree.add(copy.path, ["device/wwid": Self.other])
    try tree.add(original.path, ["device/wwid": Self.frozen])
    let recorded = try frozenMedium()
    for (path, isFrozen) in [(copy.path, false), (original.path, true)] {
      let named = finder(["7": path])
      let medium = try named.findNamedAlone(recorded)
      #expect(medium.path == path)
      #expect(named.isFrozenHardware(medium, of: recorded) == isFrozen)
    }
    #expect(!finder().isNamed(recorded))
    #expect(throws: MediumFinder.Failure.self) { try finder().findNamedAlone(recorded) }
    let unknown = try description(of: file, hardwareID: "")
    let medium = try finder(["7": copy.path]).findNamedAlone(unknown)
    #expect(finder().isFrozenHardware(medium, of: unknown) == nil)
  }

  @Test func theOriginalIsTakenBesideItsClone() throws {
    try tree.add(copy.path, ["device/wwid": Self.other])
    try tree.add(original.path, ["device/wwid": Self.frozen])
    for witness in [nil, witness] {
      #expect(try finder().find(frozenMedium(), witness: witness).path == original.path)
    }
  }

  @Test func theOriginalIsTakenBesideWhatHasNoIdentifier() throws {
    try tree.add(copy.path)
    try tree.add(original.path, ["wwid": Self.frozen])
    #expect(try finder().find(frozenMedium(), witness: nil).path == original.path)
    #expect(try finder().find(frozenMedium(), witness: witness).path == original.path)
  }

  @Test(arguments: [nil, "naa.5000c500a1b2c3d4", "t10.VENDOR   DISK 1", "mpath-x"])
  func twoThatCannotBeComparedAreRefused(_ identifier: String?) throws {
    let attributes = identifier.map { ["device/wwid": $0] } ?? [:]
    try tree.add(copy.path, attributes)
    #expect(try finder().find(frozenMedium(), witness: nil).path == copy.path)
    try tree.add(original.path, attributes)
    for witness in [nil, witness] {
      let error = #expect(throws: MediumFinder.Failure.self) {
        try finder().find(frozenMedium(), witness: witness)
      }
      for part in [copy.path, original.path, "--medium"] {
        #expect(error?.description.contains(part) == true)
      }
    }
  }

  @Test func aMultipathMapStandsForItsPaths() throws {
    let map = try LoopDevice(over: file.path)
    let second = try LoopDevice(over: file.path)
    for path in [original.path, second.path] {
      try tree.add(path, ["device/wwid": Self.frozen])
      try tree.hold(path, by: map.path)
    }
    try tree.add(map.path, ["dm/uuid": "mpath-3" + Self.frozen.dropFirst(4)])
    try tree.add(copy.path, ["device/wwid": Self.other])
    #expect(try finder().find(frozenMedium(), witness: nil).path == map.path)
    #expect(try finder().find(frozenMedium(), witness: witness).path == map.path)
  }

  /// A refused clone may also be seen through something that has no identifier.
  @Test func nothingIsTakenBesideARefusedCloneWithoutProof() throws {
    try tree.add(copy.path, ["device/wwid": Self.other])
    let disguise = try LoopDevice(over: copy.path)
    try tree.add(disguise.path)
    for witness in [nil, witness] {
      #expect(throws: MediumFinder.Failure.self) {
        try finder().find(frozenMedium(), witness: witness)
      }
    }
    try tree.add(original.path, ["wwid": Self.frozen])
    #expect(try finder().find(frozenMedium(), witness: nil).path == original.path)
  }

  /// The name of a map may say its identifier in a form that nothing compares with.
  @Test(arguments: ["mpath-1VENDOR_DISK", "mpath-0x\(other.dropFirst(4))"])
  func aMapIsKnownByItsPaths(_ name: String) throws {
    let map = try LoopDevice(over: clone.path)
    try tree.add(copy.path, ["device/wwid": Self.other])
    try tree.add(map.path, ["dm/uuid": name])
    try tree.hold(copy.path, by: map.path)
    #expect(throws: MediumFinder.Failure.self) {
      try finder().find(frozenMedium(), witness: nil)
    }
  }

  /// Drives of two virtual machines may be counted alike.
  @Test func aSerialNumberProvesNothing() throws {
    let counted = "t10.ATA     QEMU HARDDISK   QM00002"
    let description = try description(of: file, hardwareID: counted)
    try tree.add(copy.path, ["device/wwid": counted])
    try tree.add(original.path, ["device/wwid": "t10.ATA     QEMU HARDDISK   QM00003"])
    #expect(throws: MediumFinder.Failure.self) { try finder().find(description, witness: nil) }
  }
}
