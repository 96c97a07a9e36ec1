import Catalogue
import Freezing
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import LogicalRepresentation
import Synchronization
import SystemPackage
import Testing

@Suite struct FreezingTests {
  let directory: TemporaryDirectory
  let catalogue: Catalogue
  let output: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    catalogue = Catalogue(directory: directory.path.appending("state"))
    output = directory.path.appending("image.floe")
  }

  private func request(
    name: String?, output: FilePath? = nil, isStrict: Bool = false
  ) -> FreezeRequest {
    var request = FreezeRequest(source: "/srv/data", name: name, catalogue: catalogue)
    request.output = output
    request.isStrict = isStrict
    return request
  }

  private func bytes(of path: FilePath) throws -> [UInt8] {
    let file = try FileDescriptor.open(path, .readOnly)
    return try file.closeAfter {
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      return Array(bytes[..<count])
    }
  }

  private func isThere(_ path: FilePath) -> Bool { access(path.string, F_OK) == 0 }

  @Test func theResultSaysWhatWasFrozenAndWhereItIs() throws {
    let dataSet = MemoryDataSet(MemoryDataSet.Behaviour(isPartlyUnreadable: true))
    let events = Mutex<[FreezeEvent]>([])
    let frozen = try Freezing(dataSet, request(name: "nightly", output: output)) { event in
      events.withLock { $0.append(event) }
    }.run()
    #expect(dataSet.steps.withLock { $0 } == [.planned, .frozen, .described])
    #expect(frozen.name == "nightly" && frozen.provider == "memory")
    #expect(frozen.snapshot == "/snapshot")
    #expect(frozen.nodes == 3 && frozen.files == 2 && frozen.bytes == 4)
    #expect(frozen.media.map(\.path) == ["/dev/sda"])
    #expect(frozen.unreadable.count == 1)
    let part = try #require(frozen.unreadable.entries.first)
    #expect(part.path == Array("/b".utf8) && part.inode == 258 && part.part == .node)
    #expect(part.reason == "a bad sector")
    #expect(
      events.withLock { $0 } == [
        .described(nodes: 2, bytes: 3), .described(nodes: 3, bytes: 4), .descriptionEnded,
      ])
    let record = try catalogue.frozenRecord(of: frozen.id)
    #expect(record.name == "nightly" && record.source == "/srv/data")
    #expect(record.representation?.length == frozen.representationLength)
    // The file of the user is the catalogue's, byte for byte.
    let kept = try bytes(of: catalogue.representationPath(of: frozen.id))
    #expect(try bytes(of: output) == kept)
    #expect(UInt64(kept.count) == frozen.representationLength)
  }

  @Test func theCatalogueKnowsOfAnImageBeforeAnythingIsMade() throws {
    let catalogue = catalogue
    let seen = Mutex<[MemoryDataSet.Step: String]>([:])
    let dataSet = MemoryDataSet { step in
      let record = try? catalogue.entry(named: "nightly").record
      seen.withLock { $0[step] = record?.providerData ?? "" }
    }
    _ = try Freezing(dataSet, request(name: "nightly")).run()
    // Whatever a crash leaves is found by what the record says at that moment.
    let records = seen.withLock { $0 }
    #expect(records[.planned] == "")
    #expect(records[.frozen]?.contains("\"planned\"") == true)
    #expect(records[.described]?.contains("\"made\"") == true)
  }

  @Test func whatAFailedFreezeMadeIsRemoved() throws {
    for (behaviour, stage) in [
      (MemoryDataSet.Behaviour(freezeFails: true), MemoryDataSet.Record.Stage.planned),
      (MemoryDataSet.Behaviour(describeFails: true), .made),
    ] {
      let dataSet = MemoryDataSet(behaviour)
      let error = #expect(throws: Failure.self) {
        try Freezing(dataSet, request(name: "nightly", output: output)).run()
      }
      #expect(error?.description.hasPrefix("/srv/data: ") == true)
      #expect(dataSet.steps.withLock { $0.last } == .released(stage))
      #expect(try catalogue.entries() == [])
      #expect(!isThere(output))
    }
    // The name is free again.
    _ = try Freezing(MemoryDataSet(), request(name: "nightly")).run()
  }

  @Test func whatCannotBeRemovedIsToldAndStaysInTheCatalogue() throws {
    let events = Mutex<[FreezeEvent]>([])
    let dataSet = MemoryDataSet(
      MemoryDataSet.Behaviour(describeFails: true, releaseFails: true))
    #expect(throws: Failure.self) {
      try Freezing(dataSet, request(name: "nightly")) { event in
        events.withLock { $0.append(event) }
      }.run()
    }
    let remedy = "floe thaw nightly --state \(catalogue.directory)"
    #expect(
      events.withLock { $0.last } == .leftBehind(reason: "the volume is gone", remedy: remedy))
    #expect(try catalogue.entry(named: "nightly").state == .orphan)
  }

  @Test func strictRefusesAnImageOfWhichAPartCannotBeRead() throws {
    for name in ["nightly", nil] {
      let dataSet = MemoryDataSet(MemoryDataSet.Behaviour(isPartlyUnreadable: true))
      let error = #expect(throws: UnreadableImage.self) {
        try Freezing(dataSet, request(name: name, output: output, isStrict: true)).run()
      }
      #expect(error?.parts.entries.map(\.inode) == [258])
      #expect(try catalogue.entries() == [])
      #expect(!isThere(output))
    }
    let whole = try Freezing(
      MemoryDataSet(), request(name: nil, output: output, isStrict: true)
    ).run()
    #expect(whole.unreadable.count == 0 && whole.name == "image")
  }

  @Test func whatWouldBeLostOrUselessIsRefusedBeforeAnythingIsDone() throws {
    for behaviour in [
      MemoryDataSet.Behaviour(leavesSomething: true), MemoryDataSet.Behaviour(needsService: true),
    ] {
      let dataSet = MemoryDataSet(behaviour)
      let error = #expect(throws: Failure.self) {
        try Freezing(dataSet, request(name: nil, output: output)).run()
      }
      #expect(error?.description.contains("--name") == true)
      #expect(dataSet.steps.withLock { $0 }.isEmpty)
      // With a name either can be frozen.
      _ = try Freezing(MemoryDataSet(behaviour), request(name: "a")).run()
      try catalogue.thaw("a", force: false) { _ in }
    }
  }

  @Test func aFileThatIsThereIsReplacedOnlyWhenThatIsWanted() throws {
    _ = try Freezing(MemoryDataSet(), request(name: nil, output: output)).run()
    let before = try bytes(of: output)
    let refused = MemoryDataSet()
    #expect(throws: Failure.self) {
      try Freezing(refused, request(name: "nightly", output: output)).run()
    }
    #expect(refused.steps.withLock { $0 }.isEmpty)
    #expect(try catalogue.entries() == [])
    #expect(try bytes(of: output) == before)
    var replacing = request(name: nil, output: output)
    replacing.replacesOutput = true
    _ = try Freezing(MemoryDataSet(), replacing).run()
    #expect(try bytes(of: output) != before)
  }

  @Test func aNameThatIsUsedKeepsItsImage() throws {
    let first = try Freezing(MemoryDataSet(), request(name: "nightly")).run()
    let second = MemoryDataSet()
    #expect(throws: CatalogueError.nameUsed("nightly")) {
      try Freezing(second, request(name: "nightly")).run()
    }
    #expect(second.steps.withLock { $0 } == [.planned])
    #expect(try catalogue.entry(named: "nightly").id == first.id)
  }
}
