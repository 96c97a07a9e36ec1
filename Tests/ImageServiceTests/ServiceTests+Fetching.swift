import Catalogue
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import Logging
import SystemPackage
import Testing

@testable import ImageService

/// Fetching a representation over lines that break, and of bytes that changed.
extension ServiceTests {
  @Test func aFetchGoesOnWhereTheLineBroke() async throws {
    let representation = randomBytes(3_000_000)
    try catalogue.freeze("nightly", representation: representation)
    let service = try await TestService(catalogue, image: MemoryImage())
    guard case .unix(let socket) = service.endpoint else { return }
    let relay = try CuttingRelay(
      to: socket, at: directory.path.appending("relay").string,
      cuts: [800_000, 400_000, 20, 900_000])
    defer { relay.stop() }
    let address = try ServiceAddress("floe+unix:\(relay.path)/nightly")
    let place = directory.path
    let received = try await blocking {
      let remote = try RemoteImage.connect(to: address, logger: Logger(label: "test"))
      defer { remote.close() }
      return try content(of: try remote.fetchRepresentation(into: place))
    }
    #expect(received == representation)
    #expect(relay.cutsLeft == 0)
    try await service.stop()
  }

  @Test func aRepresentationThatIsNotWhatWasFrozenIsRefused() async throws {
    let record = try catalogue.freeze("nightly", representation: randomBytes(600_000))
    let service = try await TestService(catalogue, image: MemoryImage())
    let path = catalogue.representationPath(of: record.id)
    let place = directory.path
    let remote = try await service.connect(to: "nightly")
    try await blocking {
      let file = try FileDescriptor.open(path, .readWrite)
      try file.closeAfter { _ = try file.writeAll(toAbsoluteOffset: 500_000, [0, 0, 0, 0]) }
      #expect {
        try remote.fetchRepresentation(into: place)
      } throws: {
        guard case ServiceError.corrupt(let reason) = $0 else { return false }
        return reason.contains("SHA-256")
      }
      truncate(path.string, 300_000)
      #expect {
        try remote.fetchRepresentation(into: place)
      } throws: {
        if case ServiceError.refused = $0 { true } else { false }
      }
      #expect {
        try remote.fetchRepresentation(into: "/proc/none")
      } throws: {
        if case ServiceError.cannotKeep = $0 { true } else { false }
      }
    }
    try await service.stop()
  }

  /// A production host that names a length without an end fills no disk: nothing is
  /// written that has no room.
  @Test func aLengthThatHasNoRoomIsRefusedBeforeAnythingIsWritten() async throws {
    let record = try catalogue.freeze("nightly", representation: randomBytes(600_000))
    let description = catalogue.representationPath(of: record.id).removingLastComponent()
      .appending("image.json")
    let endless = "1152921504606846976"
    let text = try String(
      decoding: content(of: FileDescriptor.open(description, .readOnly)), as: UTF8.self)
    try #require(text.contains("600000"))
    let file = try FileDescriptor.open(description, .writeOnly, options: .truncate)
    try file.closeAfter {
      _ = try file.writeAll(text.replacing("600000", with: endless).utf8)
    }
    let service = try await TestService(catalogue, image: MemoryImage())
    let remote = try await service.connect(to: "nightly")
    let place = directory.path
    try await blocking {
      for (limit, word) in [
        (CacheLimit.standard, "--cache-limit"), (CacheLimit(bytes: .max), "are free in"),
      ] {
        #expect {
          try remote.fetchRepresentation(into: place, limit: limit)
        } throws: {
          guard case ServiceError.cannotKeep(let reason) = $0 else { return false }
          return reason.contains(endless) && reason.contains(word)
        }
      }
    }
    try await service.stop()
  }
}
