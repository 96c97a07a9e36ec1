import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import ImageReader
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

/// How long a provider, which keeps the image's volume busy, is kept.
@Suite struct ServedImagesTests {
  private let directory: TemporaryDirectory
  private let catalogue: Catalogue
  private let clock = Ticks()
  private let opened = Opened()
  private let images: ServedImages

  init() throws {
    directory = try TemporaryDirectory()
    catalogue = Catalogue(directory: directory.path.appending("state"))
    images = ServedImages(
      catalogue: catalogue, pool: try BlockingPool(threads: 1, maximumWaiting: 16),
      clock: { [clock] in clock.now }
    ) { [opened] _ in opened.open() }
  }

  private func ask(_ record: ImageRecord) async throws {
    try await images.call(record.id) { try $0.liveCheck() }
  }

  @Test func aProviderGoesWithItsImage() async throws {
    let record = try catalogue.freeze("nightly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt")
    try catalogue.keep(session, on: record.id)
    try await ask(record)
    images.dropUnused()
    #expect(opened.isAlive)
    try catalogue.thaw("nightly", force: true) { _ in }
    images.dropUnused()
    #expect(!opened.isAlive)
  }

  @Test func aProviderThatNobodyAsksGoes() async throws {
    let record = try catalogue.freeze("nightly")
    try await ask(record)
    clock.advance(by: ServedImages.idleTime - 1)
    images.dropUnused()
    #expect(opened.isAlive)
    // Asking again begins the time anew.
    try await ask(record)
    clock.advance(by: ServedImages.idleTime - 1)
    images.dropUnused()
    #expect(opened.isAlive)
    clock.advance(by: 1)
    images.dropUnused()
    #expect(!opened.isAlive)
    try await ask(record)
    #expect(opened.count == 2)
  }

  @Test func aMountedImageKeepsItsProvider() async throws {
    let record = try catalogue.freeze("nightly")
    let sessions = (0..<2).map { _ in
      SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt")
    }
    for session in sessions { try catalogue.keep(session, on: record.id) }
    try await ask(record)
    clock.advance(by: ServedImages.idleTime)
    images.dropUnused()
    #expect(opened.isAlive)
    for session in sessions {
      #expect(opened.isAlive)
      try catalogue.end(session.id, on: record.id)
      images.sessionEnded(on: record.id)
    }
    #expect(!opened.isAlive)
  }

  @Test func aCallKeepsTheProviderThatItIsIn() async throws {
    let record = try catalogue.freeze("nightly")
    do {
      let inUse = try await images.call(record.id) { $0 }
      try catalogue.thaw("nightly", force: false) { _ in }
      images.dropUnused()
      #expect(opened.isAlive)
      try inUse.liveCheck()
    }
    #expect(!opened.isAlive)
  }

  @Test func storageThatHangsStopsNoOtherImage() async throws {
    for name in ["hanging", "resting"] { try catalogue.freeze(name) }
    let (hanging, resting) = (MemoryImage(), MemoryImage())
    hanging.isOpen.withLock { $0 = false }
    let service = try await TestService(catalogue) { $0.name == "hanging" ? hanging : resting }
    let stuck = try await service.connect(to: "hanging")
    let other = try await service.connect(to: "resting")
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer {
        hanging.isOpen.withLock { $0 = true }
        hanging.isOpen.notifyAll()
      }
      // More than there are threads for the image, and for all images.
      for _ in 0..<64 {
        group.addTask { _ = try await blocking { try stuck.answer(.sample) } }
      }
      try await blocking {
        for _ in 0..<600 where hanging.content.withLock({ $0.questions.count }) < 4 {
          usleep(50_000)
        }
        #expect(try other.answer(.sample) == resting.content.withLock { $0.answer })
        try other.liveCheck()
        #expect(hanging.content.withLock { $0.questions.count } < 64)
      }
    }
    try await service.stop()
  }

  @Test func theServiceLetsGoOfWhatIsThawedOrUnmounted() async throws {
    try catalogue.freeze("nightly")
    let service = try await TestService(catalogue) { [opened] _ in opened.open() }
    let remote = try await service.connect(to: "nightly")
    let (catalogue, opened) = (catalogue, opened)
    try await blocking {
      try remote.startSession(backupHost: "backup1", mountpoint: "/mnt")
      try remote.liveCheck()
      #expect(opened.isAlive)
      remote.close()
      #expect(!opened.isAlive)
    }
    let second = try await service.connect(to: "nightly")
    try await blocking {
      try second.liveCheck()
      #expect(opened.isAlive)
      try catalogue.thaw("nightly", force: false) { _ in }
      // Nobody asks any more: the service finds it by itself.
      for _ in 0..<600 where opened.isAlive { usleep(50_000) }
      #expect(!opened.isAlive)
    }
    try await service.stop()
  }
}

/// A clock that stands still until it is advanced.
private final class Ticks: Sendable {
  private let time = Mutex<UInt64>(1)

  var now: UInt64 { time.withLock { $0 } }

  func advance(by nanoseconds: UInt64) { time.withLock { $0 += nanoseconds } }
}

/// Opens providers, and knows whether the last one is still there.
private final class Opened: Sendable {
  private struct State {
    weak var last: MemoryImage?
    var count = 0
  }

  private let state = Mutex(State())

  func open() -> MemoryImage {
    let image = MemoryImage()
    state.withLock { state in
      state.last = image
      state.count += 1
    }
    return image
  }

  var isAlive: Bool { state.withLock { $0.last != nil } }
  var count: Int { state.withLock { $0.count } }
}
