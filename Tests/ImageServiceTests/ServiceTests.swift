import FrozenImage
import Glibc
import ImageReader
import LinuxIO
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

@Suite struct ServiceTests {
  let directory: TemporaryDirectory
  let catalogue: Catalogue

  init() throws {
    directory = try TemporaryDirectory()
    catalogue = Catalogue(directory: directory.path.appending("state"))
  }

  private func randomBytes(_ count: Int) -> [UInt8] {
    var numbers = SeededGenerator(seed: UInt64(count))
    return (0..<count / 8 + 1).flatMap { _ in withUnsafeBytes(of: numbers.next(), Array.init) }
      .dropLast(8 - count % 8)
  }

  @Test func everyCall() async throws {
    let representation = randomBytes(1_500_001)
    let record = try catalogue.freeze("nightly", representation: representation)
    let image = MemoryImage(bytes: randomBytes(2_000_000))
    let service = try await TestService(catalogue, image: image)
    let expected = image.content.withLock { $0.answer }
    let bytes = image.content.withLock { $0.bytes }
    for reference in ["nightly", record.id.description] {
      let remote = try await service.connect(to: reference)
      let place = directory.path
      let catalogue = catalogue
      try await blocking {
        #expect(remote.host == "production1")
        #expect(remote.summary.id == record.id)
        #expect(remote.summary.name == "nightly")
        #expect(remote.summary.source == "/data")
        #expect(remote.summary.representationLength == 1_500_001)

        let file = try remote.fetchRepresentation(into: place)
        var status = stat()
        fstat(file.rawValue, &status)
        #expect(status.st_nlink == 0)
        #expect(try content(of: file) == representation)

        #expect(try remote.answer(.sample) == expected)
        try remote.liveCheck()
        for (offset, count) in [
          (0, 1 << 20), (7, 3 << 19), (1_000_000, 1 << 20), (1_999_999, 5), (2_000_000, 1),
        ] {
          var buffer = [UInt8](repeating: 0xEE, count: count)
          let read = try buffer.withUnsafeMutableBytes {
            try remote.read(inode: 257, offset: UInt64(offset), into: $0)
          }
          #expect(buffer.prefix(read) == bytes.dropFirst(offset).prefix(count))
        }

        try remote.startSession(backupHost: "backup1", mountpoint: "/mnt/nightly")
        let session = try catalogue.sessions(of: record.id).first
        #expect(session?.backupHost == "backup1")
        #expect(session?.mountpoint == "/mnt/nightly")
        #expect(remote.isReachable)
        remote.close()
        #expect(try catalogue.sessions(of: record.id) == [])
      }
    }
    #expect(image.content.withLock { $0.questions } == [.sample, .sample])
    try await service.stop()
  }

  @Test func severalBackupHostsAtOnce() async throws {
    try catalogue.freeze("nightly")
    let image = MemoryImage(bytes: randomBytes(300_000))
    let service = try await TestService(catalogue, image: image)
    let (expected, bytes) = image.content.withLock { ($0.answer, $0.bytes) }
    try await withThrowingTaskGroup { group in
      for _ in 0..<4 {
        let remote = try await service.connect(to: "nightly")
        for _ in 0..<4 {
          group.addTask {
            try await blocking {
              for _ in 0..<25 {
                #expect(try remote.answer(.sample) == expected)
                var buffer = [UInt8](repeating: 0, count: 300_000)
                let read = try buffer.withUnsafeMutableBytes {
                  try remote.read(inode: 1, offset: 0, into: $0)
                }
                #expect(read == bytes.count && buffer == bytes)
              }
            }
          }
        }
      }
      try await group.waitForAll()
    }
    try await service.stop()
  }

  @Test func anAnswerOfManyPages() async throws {
    try catalogue.freeze("nightly")
    let answer = MappingAnswer.sample(ranges: 65_536, extents: 200_000)
    let service = try await TestService(catalogue, image: MemoryImage(answer: answer))
    let remote = try await service.connect(to: "nightly")
    let received = try await blocking { try remote.answer(.sample) }
    #expect(received == answer)
    try await service.stop()
  }

  // MARK: - Errors

  @Test func anUnknownImageIsSaid() async throws {
    try catalogue.freeze("nightly")
    let service = try await TestService(catalogue, image: MemoryImage())
    await #expect(throws: ServiceError.unknownImage("weekly", service.endpoint)) {
      try await service.connect(to: "weekly")
    }
    try await service.stop()
  }

  @Test func aServiceThatIsNotThereIsSaid() async throws {
    for text in ["floe+unix:\(directory.path)/none.sock/nightly", "floe://127.0.0.1:1/nightly"] {
      let address = try ServiceAddress(text)
      do {
        _ = try await blocking {
          try RemoteImage.connect(to: address, logger: Logger(label: "test"))
        }
        Issue.record("connected")
      } catch let error as ServiceError {
        guard case .unreachable(address.endpoint, _) = error else { throw error }
        #expect("\(error)".contains("floe serve"))
        #expect(!"\(error)".contains("\n"))
      }
    }
  }

  @Test func anotherProtocolVersionIsRefused() async throws {
    let service = try await TestService(catalogue, image: MemoryImage())
    let endpoint = service.endpoint
    for versions: ClosedRange<UInt32> in [0...0, 2...9] {
      do {
        _ = try await blocking {
          try ServiceConnection.connect(to: endpoint, timeout: .seconds(10), versions: versions)
        }
        Issue.record("connected")
      } catch ServiceError.incompatible(endpoint, let reason) {
        #expect(reason.contains("none in common"))
      }
    }
    #expect(WireProtocol.common(minimum: 1, maximum: .max) == 1)
    #expect(WireProtocol.common(minimum: 2, maximum: 1) == nil)
    try await service.stop()
  }

  @Test(arguments: [
    SourceError.unreachable("busy"), .thawed("the snapshot is gone"), .failed("no such inode"),
  ])
  func whatTheProviderThrowsArrives(failure: SourceError) async throws {
    try catalogue.freeze("nightly")
    let image = MemoryImage()
    let service = try await TestService(catalogue, image: image)
    let remote = try await service.connect(to: "nightly")
    image.content.withLock { $0.failure = failure }
    let endpoint = service.endpoint
    let expected: SourceError =
      if case .unreachable(let reason) = failure { .unreachable("\(endpoint): \(reason)") } else {
        failure
      }
    try await blocking {
      #expect(throws: expected) { try remote.answer(.sample) }
      #expect(throws: expected) { try remote.liveCheck() }
      var byte: [UInt8] = [0]
      #expect(throws: expected) {
        _ = try byte.withUnsafeMutableBytes { try remote.read(inode: 1, offset: 0, into: $0) }
      }
    }
    try await service.stop()
  }

  @Test func anImageThatIsThawedWhileItIsServed() async throws {
    try catalogue.freeze("nightly")
    let service = try await TestService(catalogue, image: MemoryImage())
    let remote = try await service.connect(to: "nightly")
    let second = try await service.connect(to: "nightly")
    let catalogue = catalogue
    try await blocking {
      _ = try remote.answer(.sample)
      try catalogue.thaw("nightly", force: false) { _ in }
      for remote in [remote, second] {
        for _ in 0..<2 {
          #expect {
            try remote.answer(.sample)
          } throws: {
            if case SourceError.thawed = $0 { true } else { false }
          }
        }
      }
      #expect {
        try remote.startSession(backupHost: "backup1", mountpoint: "/mnt")
      } throws: {
        if case ServiceError.thawed = $0 { true } else { false }
      }
    }
    try await service.stop()
  }

  @Test func aProviderThatDoesNotAnswerIsReportedInTime() async throws {
    try catalogue.freeze("nightly")
    let image = MemoryImage()
    let service = try await TestService(catalogue, image: image)
    var timeouts = RemoteImage.Timeouts()
    timeouts.call = .seconds(5)
    let remote = try await service.connect(to: "nightly", timeouts: timeouts)
    image.isOpen.withLock { $0 = false }
    try await blocking {
      #expect {
        try remote.answer(.sample)
      } throws: {
        if case SourceError.unreachable = $0 { true } else { false }
      }
      #expect(!remote.isReachable)
      image.isOpen.withLock { $0 = true }
      image.isOpen.notifyAll()
      _ = try Self.untilReached { try remote.answer(.sample) }
      #expect(remote.isReachable)
    }
    try await service.stop()
  }

  // MARK: - Fetching

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

  // MARK: - Sessions

  @Test func aSessionIsKeptInTheBackground() async throws {
    let record = try catalogue.freeze("nightly")
    let service = try await TestService(catalogue, image: MemoryImage())
    var timeouts = RemoteImage.Timeouts()
    timeouts.keepAlive = .milliseconds(20)
    let remote = try await service.connect(to: "nightly", timeouts: timeouts)
    let catalogue = catalogue
    try await blocking {
      try remote.startSession(backupHost: "backup1", mountpoint: "/mnt")
      let session = try #require(try catalogue.sessions(of: record.id).first)
      // What is forgotten comes back with the next word of the backup host.
      try catalogue.end(session.id, on: record.id)
      while try catalogue.sessions(of: record.id) != [session] { usleep(1000) }
      remote.close()
      #expect(try catalogue.sessions(of: record.id) == [])
    }
    try await service.stop()
  }

  // MARK: - Listening

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
      catalogue, listen: try Endpoint(listening: listen), image: MemoryImage())
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

  /// Tries again for as long as nobody answers; a service takes a moment to start.
  private static func untilReached<Result>(_ body: () throws -> Result) throws -> Result {
    for _ in 0..<600 {
      do { return try body() } catch ServiceError.unreachable {} catch SourceError.unreachable {}
      usleep(50_000)
    }
    return try body()
  }
}
