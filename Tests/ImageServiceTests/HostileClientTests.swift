import Catalogue
import FloeWire
import FoundationEssentials
import FrozenImage
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
import ImageAccess
import ImageFixtures
import ImageReader
import Logging
import SwiftProtobuf
import SystemPackage
import Testing

@testable import ImageService

/// Clients that mean harm, against a service in a process of its own: its memory stays
/// bounded, and another client is served all the while.
@Suite(.serialized) struct HostileClientTests {
  private let directory: TemporaryDirectory
  private let record: ImageRecord
  private let server: ServerProcess
  private let endpoint: ServiceEndpoint
  private let remote: RemoteImage

  /// Bytes that the service may take beyond what it has at rest.
  private static let bound = 256 << 20

  init() async throws {
    directory = try TemporaryDirectory()
    let catalogue = Catalogue(directory: directory.path.appending("state"))
    record = try catalogue.freeze(
      "nightly", representation: [UInt8](repeating: 7, count: 64 << 20))
    server = try ServerProcess(serving: catalogue.directory)
    let endpoint = try ImageServer.defaultEndpoint(of: catalogue)
    self.endpoint = endpoint
    remote = try await blocking {
      try ServiceTests.untilReached {
        try RemoteImage.connect(
          to: ServiceAddress("floe+\(endpoint)/nightly"), logger: Logger(label: "test"))
      }
    }
  }

  /// Asks as an honest client does, some times.
  private func expectServed(_ what: Comment, times: Int = 50) async throws {
    let remote = remote
    try await blocking {
      for _ in 0..<times {
        // A service that is busy says so, and is asked again.
        _ = try ServiceTests.untilReached { try remote.answer(.sample) }
        var bytes: [UInt8] = [0, 0, 0]
        let count = try ServiceTests.untilReached {
          try bytes.withUnsafeMutableBytes { try remote.read(inode: 1, offset: 0, into: $0) }
        }
        #expect(count == 3 && bytes == [1, 2, 3], what)
      }
    }
  }

  /// Runs a body with a raw connection, on which nothing is checked.
  private func connected(
    _ body: @Sendable (Floe_V1_ImageService.Client<HTTP2ClientTransport.Posix>) async throws -> Void
  ) async throws {
    guard case .unix(let path) = endpoint else { return }
    try await withGRPCClient(
      transport: .http2NIOPosix(
        target: .unixDomainSocket(path: path, authority: "localhost"),
        transportSecurity: .plaintext)
    ) { try await body(Floe_V1_ImageService.Client(wrapping: $0)) }
  }

  private func expectRefused(
    _ what: Comment, _ codes: Set<RPCError.Code>, _ body: () async throws -> Void
  ) async {
    do {
      try await body()
      Issue.record("\(what) was answered")
    } catch let error as RPCError {
      #expect(codes.contains(error.code), "\(what): \(error)")
      #expect(!error.message.isEmpty && !error.message.contains("\n"), "\(what): \(error)")
    } catch {
      Issue.record("\(what): \(error)")
    }
  }

  @Test func whatIsNotThereIsRefusedInASentence() async throws {
    let image = record.id.wire
    try await connected { client in
      for other in [UniqueIdentifier.random().wire, Data(), Data([1, 2]), image + image] {
        let codes: Set<RPCError.Code> = [.notFound, .invalidArgument]
        await expectRefused("live check of another image", codes) {
          _ = try await client.liveCheck(.with { $0.image = other })
        }
        await expectRefused("a session on another image", codes) {
          _ = try await client.keepSession(
            .with {
              $0.image = other
              $0.session = UniqueIdentifier.random().wire
            })
        }
        await expectRefused("another image's representation", codes) {
          try await client.fetchRepresentation(.with { $0.image = other }) { response in
            for try await _ in response.messages {}
          }
        }
      }
      await expectRefused("a representation from behind its end", [.invalidArgument]) {
        let request = Floe_V1_FetchRepresentationRequest.with {
          $0.image = image
          $0.offset = .max
        }
        try await client.fetchRepresentation(request) { response in
          for try await _ in response.messages {}
        }
      }
      for (offset, length) in [(UInt64(0), UInt32(0)), (0, .max), (.max, 1), (.max - 4, 1 << 20)] {
        await expectRefused("\(length) bytes at \(offset)", [.invalidArgument]) {
          let request = Floe_V1_ReadPortionRequest.with {
            $0.image = image
            $0.inode = 1
            $0.offset = offset
            $0.length = length
          }
          try await client.readPortion(request) { response in
            for try await _ in response.messages {}
          }
        }
      }
      await expectRefused("a question of 5000 portions", [.invalidArgument]) {
        let request = Floe_V1_AnswerRequest.with {
          $0.image = image
          $0.known = MappingState.sample.wire
          $0.portions = (0..<5000).map { number in
            .with {
              $0.inode = UInt64(number)
              $0.length = .max
            }
          }
        }
        try await client.answer(request) { response in for try await _ in response.messages {} }
      }
    }
    try await expectServed("after requests that were refused")
  }

  @Test func aFloodOfCallsLeavesMemoryBounded() async throws {
    let image = record.id.wire
    let request = MappingQuestion(
      known: .sample, found: MappingState.sample.configurationID,
      portions: (0..<1024).map { Portion(inode: $0, range: 0..<4096) }
    ).wire(image: record.id)
    try await expectServed("before the flood")
    let atRest = try server.memory()
    try await withThrowingTaskGroup { group in
      for _ in 0..<16 {
        group.addTask {
          try await connected { client in
            try await withThrowingDiscardingTaskGroup { calls in
              for number in 0..<256 {
                calls.addTask {
                  // Refused or not: what counts is what it does to others.
                  if number.isMultiple(of: 2) {
                    try? await client.answer(request) { response in
                      for try await _ in response.messages {}
                    }
                  } else {
                    _ = try? await client.liveCheck(.with { $0.image = image })
                  }
                }
              }
            }
          }
        }
      }
      group.addTask { try await expectServed("in the flood") }
      try await group.waitForAll()
    }
    #expect(try server.memory() - atRest < Self.bound)
    try await expectServed("after the flood")
  }

  @Test func slowReadersHoldNoMemory() async throws {
    let image = record.id.wire
    try await expectServed("before the slow readers")
    let atRest = try server.memory()
    try await connected { client in
      try await withThrowingTaskGroup { group in
        for _ in 0..<100 {
          group.addTask {
            // 64 MiB each, of which next to nothing is taken.
            try await client.fetchRepresentation(.with { $0.image = image }) { response in
              for try await _ in response.messages {
                try await Task.sleep(for: .seconds(600))
              }
            }
          }
        }
        try await expectServed("beside slow readers", times: 200)
        #expect(try server.memory() - atRest < Self.bound)
        group.cancelAll()
        while await group.nextResult() != nil {}
      }
    }
    try await expectServed("after slow readers")
  }

  @Test func linesThatSayNothingOrNonsenseHarmNobody() async throws {
    guard case .unix(let path) = endpoint else { return }
    try await expectServed("before the lines")
    let atRest = try server.memory()
    let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    // A frame of headers, as long as frames can say, that never comes.
    let endless = preface + [0, 0, 0, 4, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 1, 4, 0, 0, 0, 1]
    let words: [[UInt8]] = [
      [], Array(preface.prefix(9)), preface, endless,
      (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 167 >> 3) },
      Array("GET / HTTP/1.1\r\nHost: floe\r\n\r\n".utf8),
    ]
    var lines: [FileDescriptor] = []
    defer { for line in lines { try? line.close() } }
    for number in 0..<300 {
      let line = try connectedSocket(path)
      lines.append(line)
      // The service may hang up in the middle of it.
      let word = words[number % words.count]
      _ = send(line.rawValue, word, word.count, Int32(MSG_NOSIGNAL))
    }
    try await expectServed("beside lines that say nothing")
    #expect(try server.memory() - atRest < Self.bound)
  }
}
