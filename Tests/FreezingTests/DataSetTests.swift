import Catalogue
import Freezing
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import ImageReader
import LogicalRepresentation
import SystemPackage
import Testing

@testable import DataSets
@testable import floe

@Suite struct DataSetTests {
  let directory: TemporaryDirectory
  let catalogue: Catalogue

  init() throws {
    directory = try TemporaryDirectory()
    catalogue = Catalogue(directory: directory.path.appending("state"))
  }

  @Test(.enabled(if: ExtDisk.isPossible))
  func aDiskImageIsFrozenAndAnsweredFor() throws {
    let disk = try ExtDisk()
    let dataSet = try Providers.all.find(disk.path.string)
    #expect(!dataSet.leavesSomething && !dataSet.needsService)
    #expect(try dataSet.explanation.contains { $0.contains(disk.path.string) })
    let frozen = try Freezing(
      dataSet, FreezeRequest(source: disk.path.string, name: "disk", catalogue: catalogue)
    ).run()
    #expect(frozen.provider == "stack" && frozen.snapshot == nil)
    #expect(frozen.media.map(\.path) == [disk.path.string])
    #expect(frozen.files == UInt64(FileTree.files.count))
    #expect(frozen.bytes == UInt64(FileTree.files.map(\.bytes.count).reduce(0, +)))
    #expect(frozen.unreadable.count == 0)

    let record = try catalogue.frozenRecord(of: frozen.id)
    let host = try Providers.all.productionHost(for: record, in: catalogue)
    try host.liveCheck()
    try disk.use()
    #expect {
      try host.liveCheck()
    } throws: { error in
      if case SourceError.thawed = error { true } else { false }
    }
    // Nothing was made, so nothing is removed.
    try catalogue.thaw("disk", force: false, release: Providers.all.release)
    #expect(access(disk.path.string, F_OK) == 0)
  }

  @Test func whatCannotBeFrozenIsNamed() throws {
    let place = directory.path
    try shell(
      "mkfifo '\(place)/fifo'; mkdir '\(place)/directory'; head -c 999 /dev/zero >'\(place)/text'")
    for (words, reason) in [
      ("\(place)/none", "no such file"), ("\(place)/fifo", "neither a directory"),
      ("\(place)/directory:2", "it has no parts"), ("no/such/volume", "no such file"),
    ] {
      let error = #expect(throws: Failure.self) { try Providers.all.find(words) }
      #expect(error?.description.contains(reason) == true, "\(words): \(String(describing: error))")
      #expect(error?.description.contains(words.prefix { $0 != ":" }) == true)
    }
  }

  /// As they lie in the state directories of users.
  @Test(
    arguments: [
      ("btrfs", #"{"fileSystemID":"01234567-89ab-cdef-0123-456789abcdef"}"#, "names no snapshot"),
      ("mounted", "{}", "names no directory"),
      (
        "stack",
        #"{"image":{"pins":[],"place":{"assumesFrozen":false,"physicalVolumes":[],"selectors":[],"start":{"path":{"_0":"/nowhere.img"}}},"witness":[1,2]}}"#,
        nil
      ),
      ("stack", "{}", "cannot be read by this floe"), ("zfs", "{}", "cannot be read by this floe"),
      ("btrfs", "", "cannot be read by this floe"),
    ] as [(String, String, String?)])
  func recordsOfOtherVersions(provider: String, data: String, problem: String?) throws {
    let reservation = try catalogue.reserve(
      .random(), name: "old", provider: provider, providerData: data, source: "/srv/data")
    let record = reservation.record
    do {
      let host = try Providers.all.productionHost(for: record, in: catalogue)
      #expect(problem == nil)
      // It is read, and what it leads to is not there.
      #expect(throws: SourceError.self) { try host.liveCheck() }
    } catch let error as Failure {
      #expect(error.description.contains("old"))
      #expect(try error.description.contains(#require(problem)), "\(error)")
    }
  }
}
