import Catalogue
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

/// What a backup host is told when it cannot be served.
extension ServiceTests {
  @Test func anUnknownImageIsSaid() async throws {
    try catalogue.freeze("nightly")
    let service = try await TestService(catalogue, image: MemoryImage())
    await #expect(throws: ServiceError.unknownImage("weekly", service.endpoint)) {
      try await service.connect(to: "weekly")
    }
    try await service.stop()
  }

  @Test func aServiceThatIsNotThereIsSaid() async throws {
    // The reason is the subject here, not how soon a loaded machine comes to it.
    var patient = RemoteImage.Timeouts()
    patient.call = .seconds(600)
    for (text, reason) in [
      ("floe+unix:\(directory.path)/none.sock/nightly", "No such file or directory"),
      ("floe://127.0.0.1:1/nightly", "Connection refused"),
    ] {
      let address = try ServiceAddress(text)
      do {
        _ = try await blocking { [patient] in
          try RemoteImage.connect(
            to: address, timeouts: patient, logger: Logger(label: "test"))
        }
        Issue.record("connected")
      } catch let error as ServiceError {
        #expect(error == .unreachable(address.endpoint, reason: reason))
        #expect(
          "\(error)" == "no service answers at \(address.endpoint): \(reason) "
            + "(is “floe serve” running there?)")
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
}
