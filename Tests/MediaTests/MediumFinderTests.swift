import FrozenImage
import ImageReader
import Media
import TestTags
import Testing

@Suite struct MediumFinderTests {
  @Test func takesANamedMediumByIdentifierLabelOrNumber() throws {
    let file = try RandomFile(count: 1 << 20)
    let description = try description(of: file)
    for name in [description.id.description, "devid 7", "7"] {
      let finder = MediumFinder(named: [name: file.path])
      try finder.checkNames(against: [description])
      #expect(try finder.find(description, witness: nil).path == file.path)
    }
  }

  @Test func refusesAnotherMediumByName() throws {
    let file = try RandomFile(count: 1 << 20)
    let other = try RandomFile(count: 1 << 20)
    let error = #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: ["7": other.path]).find(description(of: file), witness: nil)
    }
    #expect(error?.description.contains(other.path) == true)
    #expect(error?.description.contains("does not carry the identity of devid 7") == true)
  }

  @Test func refusesAMediumThatIsTooSmall() throws {
    let file = try RandomFile(count: 1 << 20)
    #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: ["7": file.path])
        .find(description(of: file, size: 1 << 21), witness: nil)
    }
  }

  @Test func refusesANameThatTheImageDoesNotHave() throws {
    let file = try RandomFile(count: 1 << 20)
    #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: ["8": file.path]).checkNames(against: [description(of: file)])
    }
  }

  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func findsAMediumAmongTheBlockDevices() throws {
    let file = try RandomFile(count: 1 << 20)
    let finder = MediumFinder(named: [:])
    let description = try description(of: file)
    #expect(throws: MediumFinder.Failure.self) { try finder.find(description, witness: nil) }
    let device = try LoopDevice(over: file.path)
    #expect(try finder.find(description, witness: nil).path == device.path)
  }

  /// A clone carries the same identity: nobody but the user can tell at the mount
  /// which is right. Later the witness may.
  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func refusesTwoThatMatchUnlessTheWitnessTellsThemApart() throws {
    let file = try RandomFile(count: 1 << 20)
    let clone = try RandomFile(count: 1 << 20)
    try clone.becomeClone(of: file)
    let devices = [try LoopDevice(over: file.path), try LoopDevice(over: clone.path)]
    let description = try description(of: file)
    let finder = MediumFinder(named: [:])
    let witness = Array(file.bytes[16..<24])
    for witness in [nil, witness] {
      let error = #expect(throws: MediumFinder.Failure.self) {
        try finder.find(description, witness: witness)
      }
      for device in devices { #expect(error?.description.contains(device.path) == true) }
    }
    try clone.write([UInt8](repeating: 0, count: 8), at: 16)
    #expect(throws: MediumFinder.Failure.self) { try finder.find(description, witness: nil) }
    #expect(try finder.find(description, witness: witness).path == devices[0].path)
  }

  /// A device that the user named was replaced: its successor carries the identity
  /// and shows the witness, whether the old one does still carry the identity or not.
  @Test(
    .tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices),
    arguments: [true, false])
  func findsTheSuccessorOfANamedMedium(isOldScratched: Bool) throws {
    let file = try RandomFile(count: 1 << 20)
    let successor = try RandomFile(count: 1 << 20)
    let description = try description(of: file)
    let witness = [UInt8](repeating: 7, count: 8)
    try successor.becomeClone(of: file)
    try successor.write(witness, at: 16)
    let finder = MediumFinder(named: ["7": file.path])
    if isOldScratched { try file.loseIdentity() }
    let device = try LoopDevice(over: successor.path)
    #expect(try finder.find(description, witness: witness).path == device.path)
    if isOldScratched {
      #expect(throws: MediumFinder.Failure.self) { try finder.find(description, witness: nil) }
    } else {
      #expect(try finder.find(description, witness: nil).path == file.path)
      let other = [UInt8](repeating: 8, count: 8)
      #expect(try finder.find(description, witness: other).path == file.path)
    }
  }

  /// The file that was frozen is no less the medium than a clone on a device.
  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func aCloneOnADeviceDoesNotBeatTheFrozenFile() throws {
    let file = try RandomFile(count: 1 << 20)
    let clone = try RandomFile(count: 1 << 20)
    try clone.becomeClone(of: file)
    let description = try description(of: file, path: file.path)
    let finder = MediumFinder(named: [:], trust: MediumTrust(followsPaths: true))
    let witness = Array(file.bytes[16..<24])
    // A device over the very file is no clone.
    let own = try LoopDevice(over: file.path)
    for witness in [nil, witness] {
      #expect(try finder.find(description, witness: witness).path == file.path)
    }
    let device = try LoopDevice(over: clone.path)
    for witness in [nil, witness] {
      let error = #expect(throws: MediumFinder.Failure.self) {
        try finder.find(description, witness: witness)
      }
      for part in [file.path, device.path, "--medium"] {
        #expect(error?.description.contains(part) == true)
      }
      #expect(error?.description.contains(own.path) == false)
    }
    let named = MediumFinder(
      named: ["7": device.path], trust: MediumTrust(followsPaths: true))
    #expect(try named.find(description, witness: nil).path == device.path)
    // A representation that came over the wire chooses no file.
    #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: [:]).find(description, witness: nil)
    }
  }

  @Test func takesTheFrozenFileOnlyWhereItIsTrusted() throws {
    let file = try RandomFile(count: 1 << 20)
    let description = try description(of: file, path: file.path)
    #expect(
      try MediumFinder(named: [:], trust: MediumTrust(followsPaths: true)).find(
        description, witness: nil
      ).path
        == file.path)
    #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: [:]).find(description, witness: nil)
    }
    // What was frozen was a device.
    let device = try MediaTests.description(
      of: file, path: file.path, hardwareID: "naa.5000c500a1b2c3d4")
    #expect(throws: MediumFinder.Failure.self) {
      try MediumFinder(named: [:], trust: MediumTrust(followsPaths: true)).find(
        device, witness: nil)
    }
  }
}
