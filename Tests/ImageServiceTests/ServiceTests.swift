import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import Logging
import SeededNumbers
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

  func randomBytes(_ count: Int) -> [UInt8] {
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

  /// Tries again for as long as nobody answers; a service takes a moment to start.
  static func untilReached<Result>(_ body: () throws -> Result) throws -> Result {
    for _ in 0..<600 {
      do { return try body() } catch ServiceError.unreachable {} catch SourceError.unreachable {}
      usleep(50_000)
    }
    return try body()
  }
}
