import Catalogue
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

/// Where a service listens, and what becomes of those who talk to it when it ends.
extension ServiceTests {
  @Test func theSocketIsForItsOwnerAndGoesWithTheService() async throws {
    let service = try await TestService(catalogue, image: MemoryImage())
    guard case .unix(let path) = service.endpoint else { return }
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode == S_IFSOCK | 0o600)
    await #expect(throws: ListenError.self) {
      try await TestService(catalogue, image: MemoryImage())
    }
    #expect(lstat(path, &status) == 0)
    try await service.stop()
    #expect(lstat(path, &status) != 0)
    // A file that is no socket is left alone.
    let file = try FileDescriptor.open(
      FilePath(path), .writeOnly, options: [.create], permissions: .ownerReadWrite)
    try file.close()
    await #expect(throws: ListenError.self) {
      try await TestService(catalogue, image: MemoryImage())
    }
  }

  @Test(arguments: ["127.0.0.1:0", "[::1]:0"])
  func aLoopbackPort(listen: String) async throws {
    try catalogue.freeze("nightly")
    let service = try await TestService(
      catalogue, listen: try ServiceEndpoint(listening: listen), image: MemoryImage())
    let remote = try await service.connect(to: "nightly")
    try await blocking { try remote.liveCheck() }
    await #expect(throws: ListenError.self) {
      try await TestService(catalogue, listen: service.endpoint, image: MemoryImage())
    }
    try await service.stop()
  }

  @Test func callsInFlightAreFinishedBeforeTheServiceEnds() async throws {
    try catalogue.freeze("nightly")
    let image = MemoryImage()
    let service = try await TestService(catalogue, image: image)
    let remote = try await service.connect(to: "nightly")
    image.isOpen.withLock { $0 = false }
    async let answer = blocking { try remote.answer(.sample) }
    try await blocking {
      while image.content.withLock({ $0.questions.isEmpty }) { usleep(1000) }
    }
    service.server.shutDown()
    image.isOpen.withLock { $0 = true }
    image.isOpen.notifyAll()
    #expect(try await answer == image.content.withLock { $0.answer })
    try await service.end()
  }

  @Test func aServiceThatWasKilledIsFoundAgain() async throws {
    let record = try catalogue.freeze("nightly")
    try catalogue.create()
    let socket = catalogue.directory.appending("floe.sock")
    let state = catalogue.directory
    let catalogue = catalogue
    try await blocking {
      var server = try ServerProcess(serving: state)
      let address = try ServiceAddress("floe+unix:\(socket)/nightly")
      let remote = try Self.untilReached {
        try RemoteImage.connect(to: address, logger: Logger(label: "test"))
      }
      try remote.startSession(backupHost: "backup1", mountpoint: "/mnt")
      let sessions = try catalogue.sessions(of: record.id)
      #expect(sessions.count == 1)
      for _ in 0..<2 {
        try remote.liveCheck()
        server.kill()
        for _ in 0..<3 {
          #expect {
            try remote.answer(.sample)
          } throws: {
            if case SourceError.unreachable = $0 { true } else { false }
          }
        }
        #expect(!remote.isReachable)
        // The dead service's socket is still there, and is replaced.
        #expect(access(socket.string, F_OK) == 0)
        server = try ServerProcess(serving: state)
        let answer = try Self.untilReached { try remote.answer(.sample) }
        #expect(answer == .sample(ranges: 3, extents: 3))
        #expect(remote.isReachable)
        #expect(try catalogue.sessions(of: record.id) == sessions)
      }
      remote.close()
      #expect(try catalogue.sessions(of: record.id) == [])
    }
  }
}
