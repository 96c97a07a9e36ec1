import FrozenImage
import Glibc
import ImageReader
import Synchronization
import Testing

@testable import HostSystem
@testable import VerifiedReading

/// Checks that reads share where a check takes long.
@Suite struct SharedCheckTests {
  /// A medium whose witness counts how often it was read, and takes its time.
  private final class Counting: Medium {
    let path = "a device"
    let size: UInt64 = 4096
    /// Nanoseconds that a read takes.
    let delay: UInt64
    let begun = Atomic<UInt64>(0)

    init(delay: UInt64) { self.delay = delay }

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      let number = begun.add(1, ordering: .sequentiallyConsistent).newValue
      let end = MonotonicClock.now() + delay
      while MonotonicClock.now() < end { usleep(50) }
      buffer.storeBytes(of: number, as: UInt64.self)
    }
  }

  private let id = MediumID(rawValue: UniqueIdentifier(high: 1, low: 1))

  private func basis(_ medium: Counting) throws -> (QuickReads.Basis, MediaTable) {
    let probe = try #require(
      Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)]))
    let description = MediumDescription(
      id: id, label: "a medium", size: 4096, path: "", hardwareID: "", identity: probe,
      identityBytes: [], witness: probe)
    let state = MappingState(configurationID: ConfigurationID(entries: []), cursor: [])
    var rule = ReadRule(
      state: state, map: try StoreMap(stores: [StoreID(rawValue: 0): .physical(id)], extents: [:]),
      media: [description])
    let table = MediaTable { _, _ in medium }
    let incarnation = rule.beginIncarnation(of: id)
    try table.open([description], of: state.configurationID) { _ in incarnation }
    return (QuickReads.Basis(Epoch(of: rule), table.installed), table)
  }

  /// Lets threads make checks, and gives how often the witness was read.
  private func check(
    _ medium: Counting, _ checks: SharedChecks, threads: Int, times: Int
  ) throws -> UInt64 {
    let (basis, table) = try basis(medium)
    let early = Atomic(0)
    let running = Monitor(threads)
    for _ in 0..<threads {
      try Thread.detach {
        for _ in 0..<times {
          let before = medium.begun.load(ordering: .sequentiallyConsistent)
          let found = checks.findings(in: basis, table) { _ in }
          let number = found?.witnesses.first.map {
            $0.bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
          }
          // A check that had begun before proves nothing of what was read since.
          if (number ?? 0) <= before { early.add(1, ordering: .relaxed) }
        }
        running.withLock { $0 -= 1 }
        running.notifyAll()
      }
    }
    running.wait { $0 == 0 ? .done(()) : .wait }
    #expect(early.load(ordering: .relaxed) == 0)
    return medium.begun.load(ordering: .relaxed)
  }

  @Test func oneServesAllThatWaited() throws {
    let looks = try check(Counting(delay: 2_000_000), SharedChecks(), threads: 8, times: 40)
    #expect(looks < 200, "\(looks) of 320")
  }

  @Test func whereItIsQuickEachMakesItsOwn() throws {
    let looks = try check(
      Counting(delay: 0), SharedChecks(worthSharing: .max), threads: 4, times: 500)
    #expect(looks == 2000)
  }

  /// A device that hangs does not hold up those who read others for longer than they wait.
  @Test func nobodyWaitsForACheckThatHangs() throws {
    let (basis, table) = try basis(Counting(delay: 500_000_000))
    let checks = SharedChecks(worthSharing: 0, patience: 1_000_000)
    let isOver = Monitor(false)
    // The first takes its own way: nothing is known of the medium yet.
    _ = checks.findings(in: basis, table) { _ in }
    try Thread.detach {
      _ = checks.findings(in: basis, table) { _ in }
      isOver.withLock { $0 = true }
      isOver.notifyAll()
    }
    usleep(50_000)
    #expect(checks.findings(in: basis, table) { _ in } == nil)
    #expect(!isOver.withLock { $0 })
    isOver.wait { $0 ? .done(()) : .wait }
  }

  /// What an epoch kept is gone with it.
  @Test func whatReadsUseEndsWithTheEpoch() throws {
    let (basis, _) = try basis(Counting(delay: 0))
    var rule = ReadRule(
      state: basis.epoch.known,
      map: try StoreMap(stores: [StoreID(rawValue: 0): .physical(id)], extents: [:]), media: [])
    _ = rule.beginIncarnation(of: id)
    let quick = QuickReads(rule)
    let present = QuickReads.Basis(try #require(rule.epoch), [:])
    quick.begin(present)
    #expect(quick.basis != nil && quick.isCurrent(present.epoch))
    _ = rule.beginIncarnation(of: id)
    quick.follow(rule)
    #expect(quick.basis == nil && !quick.isCurrent(present.epoch))
    // Made a moment too late.
    quick.begin(present)
    #expect(quick.basis == nil)
    let last = QuickReads.Basis(try #require(rule.epoch), [:])
    quick.begin(last)
    rule.setDoubt(true)
    quick.follow(rule)
    #expect(quick.basis == nil && !quick.isCurrent(last.epoch))
  }
}
