import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import SystemPackage
import Testing

@testable import ImageService

/// A service that serves something else than it did is not taken for one whose image is
/// thawed: that would be for ever.
extension ServiceTests {
  @Test func anotherStateDirectoryIsNotAThaw() async throws {
    let record = try catalogue.freeze("nightly")
    let place = try ServiceEndpoint(socketPath: directory.path.appending("s").string)
    let first = try await TestService(catalogue, listen: place, image: MemoryImage())
    let remote = try await first.connect(to: "nightly")
    try await blocking { _ = try remote.answer(.sample) }
    try await first.stop()

    let empty = Catalogue(directory: directory.path.appending("empty"))
    let second = try await TestService(empty, listen: place, image: MemoryImage())
    let files = directory.path
    try await blocking {
      let other = SourceError.unreachable("another state directory is being served at \(place)")
      // The line to the first service may take a moment to be found broken.
      for _ in 0..<600 where Self.failure(of: remote) != other { usleep(50_000) }
      #expect(throws: other) { try remote.answer(.sample) }
      #expect(!remote.isReachable)
      #expect(throws: ServiceError.otherStateDirectory(place)) {
        try remote.startSession(backupHost: "backup1", mountpoint: "/mnt")
      }
      #expect(throws: ServiceError.otherStateDirectory(place)) {
        try remote.fetchRepresentation(into: files)
      }
    }
    try await second.stop()

    let third = try await TestService(catalogue, listen: place, image: MemoryImage())
    let catalogue = catalogue
    try await blocking {
      _ = try Self.untilReached { try remote.answer(.sample) }
      #expect(remote.isReachable)
      try catalogue.thaw("\(record.id)", force: false) { _ in }
      #expect {
        try remote.answer(.sample)
      } throws: {
        if case SourceError.thawed = $0 { true } else { false }
      }
    }
    try await third.stop()
  }

  @Test func aStateDirectoryThatIsAwayIsNotAThaw() async throws {
    try catalogue.freeze("nightly")
    let place = try ServiceEndpoint(socketPath: directory.path.appending("s").string)
    let service = try await TestService(catalogue, listen: place, image: MemoryImage())
    let remote = try await service.connect(to: "nightly")
    let state = catalogue.directory.string
    try await blocking {
      _ = try remote.answer(.sample)
      #expect(rename(state, state + ".away") == 0)
      for _ in 0..<2 {
        #expect {
          try remote.answer(.sample)
        } throws: {
          guard case SourceError.unreachable(let reason) = $0 else { return false }
          return reason.contains(state)
        }
      }
      #expect(rename(state + ".away", state) == 0)
      _ = try remote.answer(.sample)
    }
    try await service.stop()
  }

  private static func failure(of remote: RemoteImage) -> SourceError? {
    do throws(SourceError) {
      try remote.liveCheck()
      return nil
    } catch {
      return error
    }
  }
}
