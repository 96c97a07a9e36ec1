import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import TestTags
import Testing

/// What an attacker may do who writes a medium's description.
@Suite struct MediumTrustTests {
  private let nobody = FileOwner(user: 65534)

  /// The description of a medium by some bytes at one place.
  private func description(
    bytes: [UInt8], at offset: Int, path: String, size: UInt64 = 4096
  ) throws -> MediumDescription {
    let identity = try #require(
      Probe(
        offset: 0, length: 4096, fragments: [.init(offset: offset, length: bytes.count)]))
    return MediumDescription(
      id: MediumID(rawValue: .random()), label: "loot", size: size, path: path, hardwareID: "",
      identity: identity, identityBytes: bytes, witness: identity)
  }

  private func failure(
    _ finder: MediumFinder, _ description: MediumDescription
  ) -> MediumFinder.Failure? {
    do throws(MediumFinder.Failure) {
      _ = try finder.find(description, witness: nil)
      return nil
    } catch {
      return error
    }
  }

  /// Six bytes that are known, and sixteen that are: neither is the medium's own.
  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func knownBytesAreNoIdentity() throws {
    let file = try RandomFile(count: 1 << 20)
    let magic: [UInt8] = Array("LUKS".utf8) + [0xBA, 0xBE]
    try file.write(magic, at: 0)
    try file.becomeSwap(withIdentifier: Array(file.bytes[..<16]))
    let device = try LoopDevice(over: file.path)
    for (bytes, offset) in [(magic, 0), (Array(file.bytes[64..<96]), 64)] {
      let known = try description(bytes: bytes, at: offset, path: file.path)
      for trust in [MediumTrust(), MediumTrust(followsPaths: true)] {
        let error = failure(MediumFinder(named: [:], trust: trust), known)
        #expect("\(error.map { "\($0)" } ?? "")".contains("no identifier of its own"))
      }
      // The user chose it.
      let named = MediumFinder(named: ["loot": device.path])
      #expect(try named.find(known, witness: nil).path == device.path)
      // This very host's own service says where it is.
      let own = MediumFinder(named: [:], trust: MediumTrust(isOwnHost: { true }))
      #expect(try own.find(known, witness: nil).path == file.path)
    }
  }

  /// The UUID that was written where the attacker could write is not the medium's.
  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func anIdentifierInSomeFilesDataIsNone() throws {
    let file = try RandomFile(count: 1 << 20)
    let planted = try RandomFile(count: 4096)
    try planted.becomeSwap(withIdentifier: Array(planted.bytes[..<16]))
    let device = try LoopDevice(over: file.path)
    let header = try #require(
      Probe(
        offset: 524_288, length: 4096, fragments: [.init(offset: 1036, length: 16)]))
    try file.write(Array(planted.bytes[..<16]), at: 524_288 + 1036)
    try file.write(Array("SWAPSPACE2".utf8), at: 524_288 + 4086)
    let known = MediumDescription(
      id: MediumID(rawValue: .random()), label: "loot", size: 4096, path: "", hardwareID: "",
      identity: header, identityBytes: Array(planted.bytes[..<16]), witness: header)
    let error = failure(MediumFinder(named: [:]), known)
    #expect("\(error.map { "\($0)" } ?? "")".contains(device.path))
    #expect("\(error.map { "\($0)" } ?? "")".contains("no identifier of its own"))
  }

  @Test(.tags(.needsRoot), .enabled(if: geteuid() == 0, "needs root, to act as another user"))
  func aFileIsTakenOnlyIfItsOwnerMayReadIt() throws {
    let file = try RandomFile(count: 1 << 20)
    let known = try MediaTests.description(of: file, path: file.path)
    chmod(file.path, 0o600)
    let evil = MediumFinder(named: [:], trust: MediumTrust(owner: nobody, followsPaths: true))
    let error = failure(evil, known)
    for part in [file.path, "65534", "Permission denied", "--medium"] {
      #expect("\(error.map { "\($0)" } ?? "")".contains(part), "\(part)")
    }
    let mine = MediumTrust(owner: FileOwner(user: 0), followsPaths: true)
    #expect(
      try MediumFinder(named: [:], trust: mine).find(known, witness: nil).path == file.path)
    chmod(file.path, 0o604)
    #expect(try evil.find(known, witness: nil).path == file.path)
    // The calling thread has kept its own rights.
    chmod(file.path, 0o600)
    #expect(access(file.path, R_OK) == 0)
    let descriptor = open(file.path, O_RDONLY)
    #expect(descriptor >= 0)
    close(descriptor)
  }

  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func aDeviceIsTakenOnlyIfTheFilesOwnerMayReadIt() throws {
    let file = try RandomFile(count: 1 << 20)
    let known = try MediaTests.description(of: file)
    let device = try LoopDevice(over: file.path)
    let evil = MediumFinder(named: [:], trust: MediumTrust(owner: nobody))
    guard case .ownerMayNotRead(_, _, device.path, nobody, _)? = failure(evil, known) else {
      Issue.record("\(failure(evil, known).map { "\($0)" } ?? "it was taken")")
      return
    }
    let mine = MediumFinder(named: [:], trust: MediumTrust(owner: FileOwner(user: 0)))
    #expect(try mine.find(known, witness: nil).path == device.path)
  }

  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func whatThisHostUsesIsTakenOnlyFromItsOwnService() throws {
    let file = try RandomFile(count: 1 << 20)
    let known = try MediaTests.description(of: file)
    let device = try LoopDevice(over: file.path)
    let finder = MediumFinder(named: [:])
    #expect(try finder.find(known, witness: nil).path == device.path)
    // As the kernel claims what is mounted or swap.
    let claim = open(device.path, O_RDONLY | O_EXCL)
    #expect(claim >= 0)
    defer { close(claim) }
    guard case .usedByThisHost(_, _, device.path)? = failure(finder, known) else {
      Issue.record("\(failure(finder, known).map { "\($0)" } ?? "it was taken")")
      return
    }
    #expect(
      try MediumFinder(named: ["7": device.path]).find(known, witness: nil).path == device.path)
    let own = MediumFinder(named: [:], trust: MediumTrust(isOwnHost: { true }))
    #expect(try own.find(known, witness: nil).path == device.path)
  }

  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func onlyWhatEveryLimitAllowsIsTaken() throws {
    let file = try RandomFile(count: 1 << 20)
    let known = try MediaTests.description(of: file)
    let device = try LoopDevice(over: file.path)
    let link = "\(file.path).link"
    symlink(device.path, link)
    defer { unlink(link) }
    func finder(_ patterns: [String]..., named: [String: String] = [:]) -> MediumFinder {
      MediumFinder(
        named: named, trust: MediumTrust(limits: patterns.compactMap(MediaPatterns.init)))
    }
    for allowed in [[device.path], ["/dev/loop*"], [link], ["/nowhere", "/dev/loop*"]] {
      #expect(try finder(allowed).find(known, witness: nil).path == device.path, "\(allowed)")
    }
    for refused in [["/dev/sd*"], ["/*"], ["/dev/disk/*"], ["\(link)s"]] {
      let error = failure(finder(refused), known)
      #expect(
        "\(error.map { "\($0)" } ?? "")".contains("\(device.path) would be it"), "\(refused)")
    }
    #expect(failure(finder(["/dev/loop*"], ["/dev/sd*"]), known) != nil)
    #expect(
      try finder(["/nowhere"], named: ["7": device.path]).find(known, witness: nil).path
        == device.path)
  }
}
