import FrozenImage
import ImageReader
import Synchronization
import Testing

@testable import HostSystem
@testable import VerifiedReading

/// What the table of open media tells the read rule.
@Suite struct MediaTableTests {
  /// A medium of zeros whose device fails now and then.
  private final class Failing: Medium {
    let path = "a device"
    let size: UInt64 = 4096
    let fails = Atomic(false)

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      guard !fails.load(ordering: .relaxed) else {
        throw MediumError(path: path, offset: offset, reason: "no such device")
      }
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  private let id = MediumID(rawValue: UniqueIdentifier(high: 1, low: 1))
  private let device = Failing()

  private func description() throws -> MediumDescription {
    let probe = try #require(
      Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)]))
    return MediumDescription(
      id: id, label: "a medium", size: 4096, path: "", hardwareID: "", identity: probe,
      identityBytes: [], witness: probe)
  }

  /// A table with the medium open, and the rule that it tells.
  private func open() throws -> (MediaTable, Monitor<ReadRule>, MediumDescription) {
    let description = try description()
    let known = ConfigurationID(
      entries: [ConfigurationID.Entry(medium: id, bytes: [UInt8](repeating: 0, count: 8))])
    let rule = Monitor(
      ReadRule(
        state: MappingState(configurationID: known, cursor: []),
        map: try StoreMap(stores: [StoreID(rawValue: 0): .physical(id)], extents: [:]),
        media: [description]))
    let table = MediaTable { [device] _, _ in device }
    try table.open([description], of: known) { id in
      rule.withLock { $0.beginIncarnation(of: id) }
    }
    return (table, rule, description)
  }

  /// What was read before a loss that a check found is of an incarnation that is gone, also
  /// where the same device answers again.
  @Test func aLossBeginsOneIncarnation() throws {
    let (table, rule, description) = try open()
    func check() -> Incarnation? {
      let findings = table.check([description])
      let installed = table.installed(id)?.incarnation
      #expect(installed == rule.withLock { $0.incarnation(of: id) })
      let isReadable = !device.fails.load(ordering: .relaxed)
      #expect(findings.unreadable.isEmpty == isReadable)
      #expect(findings.witnesses.map(\.incarnation) == (isReadable ? [installed] : []))
      return installed
    }
    let first = try #require(check())
    #expect(check() == first)
    device.fails.store(true, ordering: .relaxed)
    let second = try #require(check())
    #expect(second != first)
    // It stays lost, and is found again.
    #expect(check() == second)
    device.fails.store(false, ordering: .relaxed)
    #expect(check() == second)
    device.fails.store(true, ordering: .relaxed)
    #expect(check() != second)
  }
}
