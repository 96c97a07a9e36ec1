import Catalogue
import DataSets
import Freezing
import FrozenImage
import HostSystem
import ImageFixtures
import Synchronization
import SystemPackage
import Testing

/// The kind of data sets in memory, as a program registers it.
private enum MemoryDataSets: DataSetProvider {
  static var record: any ProviderRecord.Type { MemoryDataSet.Record.self }

  static func find(_ named: NamedData, _ options: SearchOptions) -> (any DataSet)? { nil }
}

@Suite struct FillWatchTests {
  /// A clock that a test sets.
  private final class Clock: Sendable {
    private let time = Mutex<UInt64>(0)
    var seconds: UInt64 { time.withLock { $0 } }
    func advance(by seconds: UInt64) { time.withLock { $0 += seconds } }
  }

  /// What is told of a snapshot that is as full as `fills` says, one look after the other.
  ///
  /// - Parameter seconds: between two looks.
  private func told(
    _ behaviour: MemoryDataSet.Behaviour, looks: Int, seconds: UInt64 = 10
  ) throws -> [[String]] {
    try told(MemoryDataSet(behaviour), looks: looks, seconds: seconds)
  }

  private func told(
    _ dataSet: MemoryDataSet, looks: Int, seconds: UInt64 = 10, time: Clock = Clock()
  ) throws -> [[String]] {
    let directory = try TemporaryDirectory()
    let catalogue = Catalogue(directory: directory.path.appending("state"))
    _ = try Freezing(
      dataSet,
      FreezeRequest(source: "/srv/data", name: "nightly", catalogue: catalogue)
    ).run()
    var watch = FillWatch(
      catalogue, Providers([MemoryDataSets.self]),
      now: { time.seconds * 1_000_000_000 })
    return (0..<looks).map { _ in
      time.advance(by: seconds)
      var now: [String] = []
      watch.look { image, event in
        switch event {
        case .fills(let fill): now.append("\(image): \(fill.sentence)")
        case .grew(let done): now.append("\(image): \(done)")
        case .cannotGrow(let reason): now.append("\(image): not: \(reason)")
        }
      }
      return now
    }
  }

  @Test func aSnapshotThatFillsUpIsToldAtEachLevelUntilThereIsRoomAgain() throws {
    let told = try told(
      MemoryDataSet.Behaviour(
        leavesSomething: true, fills: [79.9, 80, 94.9, 95, 99, 85, 96, 40, 81]), looks: 9)
    func sentence(_ percent: Int) -> [String] {
      ["nightly: the snapshot is full to \(percent) %: extend it"]
    }
    #expect(
      told == [[], sentence(80), [], sentence(95), [], [], sentence(96), [], sentence(81)])
  }

  @Test func aSnapshotThatMayGrowDoesAndIsNotToldOfUnlessItIsStillFull() throws {
    let behaviour = MemoryDataSet.Behaviour(
      leavesSomething: true, fills: [50, 81, 60, 97, 84, 90, 91], growth: .grows)
    #expect(
      try told(behaviour, looks: 4) == [
        [], ["nightly: it grew"],
        ["nightly: it grew", "nightly: the snapshot is full to 84 %: extend it"],
        ["nightly: it grew"],
      ])
  }

  /// The origin stands still for each attempt.
  @Test func aSnapshotThatCannotGrowIsTriedAgainAfterLongerAndLonger() throws {
    let dataSet = MemoryDataSet(
      MemoryDataSet.Behaviour(leavesSomething: true, fills: [90], growth: .fails))
    let told = try told(dataSet, looks: 100)
    // After 10, 70, 190, 430 and 910 seconds.
    #expect(dataSet.growths.withLock { $0 } == 5)
    #expect(told.joined().count == 2)
  }

  /// Somebody may add a disk at any time, and at the next level it is urgent.
  @Test func roomThatComesIsTakenAtOnceAndSoIsTheNextLevelsChance() throws {
    let crowded = MemoryDataSet(
      MemoryDataSet.Behaviour(leavesSomething: true, fills: [90], growth: .hasNoRoom))
    _ = try told(crowded, looks: 30)
    #expect(crowded.growths.withLock { $0 } == 30)
    let failing = MemoryDataSet(
      MemoryDataSet.Behaviour(leavesSomething: true, fills: [81, 81, 96, 96], growth: .fails))
    _ = try told(failing, looks: 4)
    #expect(failing.growths.withLock { $0 } == 2)
  }

  /// A look that takes long, as where lvm2 waits, must not cost a snapshot that grows its room.
  @Test(arguments: [MemoryDataSet.Behaviour.Growth.grows, .none])
  func onlyWhatDoesNotGrowIsLookedAtLessOften(growth: MemoryDataSet.Behaviour.Growth) throws {
    let time = Clock()
    let dataSet = MemoryDataSet(
      MemoryDataSet.Behaviour(
        leavesSomething: true, fills: [50], growth: growth, onLook: { time.advance(by: 5) }))
    _ = try told(dataSet, looks: 24, time: time)
    // Every 10 seconds and those of the look; or a minute after the last one began.
    #expect(dataSet.looks.withLock { $0 } == (growth == .grows ? 24 : 4))
  }

  @Test func whyASnapshotDoesNotGrowIsToldWithEachLevel() throws {
    let behaviour = MemoryDataSet.Behaviour(
      leavesSomething: true, fills: [81, 82, 96], growth: .hasNoRoom)
    let reason = "nightly: not: the group has no room"
    #expect(
      try told(behaviour, looks: 3) == [
        ["nightly: the snapshot is full to 81 %: extend it", reason], [],
        ["nightly: the snapshot is full to 96 %: extend it", reason],
      ])
  }
}
