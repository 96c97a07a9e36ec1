import Catalogue
import DataSets
import Freezing
import HostSystem
import ImageFixtures
import SystemPackage
import Testing

/// The kind of data sets in memory, as a program registers it.
private enum MemoryDataSets: DataSetProvider {
  static var record: any ProviderRecord.Type { MemoryDataSet.Record.self }

  static func find(_ named: NamedData, _ options: SearchOptions) -> (any DataSet)? { nil }
}

@Suite struct FillWatchTests {
  @Test func aSnapshotThatFillsUpIsToldOnceUntilThereIsRoomAgain() throws {
    let directory = try TemporaryDirectory()
    let catalogue = Catalogue(directory: directory.path.appending("state"))
    let dataSet = MemoryDataSet(
      MemoryDataSet.Behaviour(leavesSomething: true, fills: [79.9, 80, 95, 40, 81]))
    _ = try Freezing(
      dataSet, FreezeRequest(source: "/srv/data", name: "nightly", catalogue: catalogue)
    ).run()
    var watch = FillWatch(catalogue, Providers([MemoryDataSets.self]))
    var told: [[String]] = []
    for _ in 0..<5 {
      var now: [String] = []
      watch.look { image, fill in now.append("\(image): \(fill.sentence)") }
      told.append(now)
    }
    #expect(
      told == [
        [], ["nightly: the snapshot is full to 80 %: extend it"], [], [],
        ["nightly: the snapshot is full to 81 %: extend it"],
      ])
  }
}
