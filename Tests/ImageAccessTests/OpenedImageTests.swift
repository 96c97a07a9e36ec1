import Dispatch
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import LogicalRepresentation
import Synchronization
import SystemPackage
import Testing

@Suite struct OpenedImageTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func open(
    _ path: FilePath, mountpoint: String? = nil, service: ServiceAddress? = nil,
    limit: CacheLimit = .standard, connect: @escaping ServiceConnector = noConnection
  ) throws -> OpenedImage {
    try OpenedImage(
      ImageSource(path.string), cache: directory.path.string, limit: limit,
      mountpoint: mountpoint, service: service, connect: connect)
  }

  // MARK: - Files

  @Test func aFileIsOpenedWithoutAService() throws {
    let written = try WrittenImage(in: directory.path)
    let image = try open(written.path)
    defer { image.close() }
    #expect(image.representation.image.id == written.id)
    #expect(image.owner?.isTrusted == true)
    #expect(!image.hasProductionHost)
    #expect(image.serviceName == "none (mounted from \(written.path))")
    let state = try image.volume(of: image.root(nil)).state
    let question = MappingQuestion(known: state, found: state.configurationID, portions: [])
    #expect(throws: SourceError.self) { try image.productionHost.answer(question) }
    let error = #expect(throws: SourceError.self) { try image.productionHost.liveCheck() }
    #expect(error?.description.contains("\(written.path) names no service") == true)
    // It has no trace in the cache, and does not depend on the file any more.
    unlink(written.path.string)
    #expect(try TemporaryDirectory.names(in: directory.path) == [])
    try image.representation.check()
  }

  @Test func whatIsNoImageIsRefusedByName() throws {
    let written = try WrittenImage(in: directory.path)
    let file = try FileDescriptor.open(written.path, .readWrite)
    // Somewhere in the records.
    _ = try file.closeAfter { try file.writeAll(toAbsoluteOffset: 5000, [0xFF, 0xFF, 0xFF]) }
    let text = directory.path.appending("text")
    try shell("echo text >'\(text)'")
    for path in [written.path, text, directory.path, directory.path.appending("none")] {
      let error = #expect(throws: Failure.self) { try open(path) }
      #expect(error?.description.contains(path.string) == true)
    }
    let sound = try WrittenImage(in: directory.path)
    let error = #expect(throws: Failure.self) {
      try open(sound.path, limit: CacheLimit(bytes: 100))
    }
    #expect(error?.description.contains("--cache-limit") == true)
  }

  @Test func anImageWithoutAVolumeViewSaysSo() throws {
    let image = try open(WrittenImage(in: directory.path).path)
    #expect(try image.root(nil).view == .tree)
    #expect(throws: Failure.self) { try image.root(.volume) }
  }

  @Test(arguments: [
    "http://host/image", "ssh://-option/image", "floe://host/image", "floe://localhost",
    "floe+unix:/nowhere",
  ])
  func addressesThatLeadNowhere(text: String) {
    #expect(throws: (any Error).self) { try ImageSource(text) }
  }

  // MARK: - The service that a file names

  @Test func theServiceOfAFileIsAskedOnlyWhenItIsNeeded() throws {
    let written = try WrittenImage(in: directory.path, service: "floe+unix:/run/floe.sock/x")
    let service = SampleService(id: written.id)
    let image = try open(written.path, connect: service.connect)
    #expect(image.hasProductionHost && image.serviceName == "floe+unix:/run/floe.sock/x")
    #expect(service.calls == [])
    try image.productionHost.liveCheck()
    try image.productionHost.liveCheck()
    #expect(service.calls == [.connect("floe+unix:/run/floe.sock/x"), .liveCheck, .liveCheck])
    image.close()
    #expect(service.calls.last == .close)
  }

  /// Copies of all media, of which the production host knows nothing.
  @Test func whoAsksNobodyNeedsAFile() throws {
    let written = try WrittenImage(in: directory.path, service: "floe+unix:/run/floe.sock/x")
    let service = SampleService(id: written.id)
    let image = try OpenedImage(
      .file(written.path.string), cache: directory.path.string, mountpoint: nil, asksNobody: true,
      connect: service.connect)
    #expect(!image.hasProductionHost && service.calls == [])
    #expect(throws: SourceError.self) { try image.productionHost.liveCheck() }
    let error = #expect(throws: Failure.self) {
      try OpenedImage(
        .service(ServiceAddress(address)), cache: directory.path.string, mountpoint: nil,
        asksNobody: true, connect: service.connect)
    }
    #expect(error?.description.contains("name the file of a representation") == true)
    #expect(service.calls == [])
  }

  @Test func eachCopyIsNamed() throws {
    let written = try WrittenImage(in: directory.path)
    let image = try open(written.path)
    defer { image.close() }
    var request = ReaderRequest()
    request.answers = .media
    let volume = try image.volume(of: image.root(nil))
    let error = #expect(throws: Failure.self) {
      _ = try request.makeReader(of: image, volume: volume)
    }
    #expect(error?.description.contains("--medium ID=PATH for devid 1") == true)
    request.media = ["1": "/dev/null"]
    let wrong = #expect(throws: (any Error).self) {
      _ = try request.makeReader(of: image, volume: volume)
    }
    #expect(wrong.map { "\($0)".contains("--medium ID=PATH for") } == false)
  }

  @Test func theServiceThatTheUserNamesGoesBeforeTheFilesOwn() throws {
    let written = try WrittenImage(in: directory.path, service: "floe+unix:/run/floe.sock/x")
    let service = SampleService(id: written.id)
    let image = try open(
      written.path, service: ServiceAddress("floe://localhost/y"), connect: service.connect)
    try image.productionHost.liveCheck()
    #expect(service.calls.first == .connect("floe://127.0.0.1:7733/y"))
  }

  @Test func aServiceThatHasAnotherImageIsNotAsked() throws {
    let written = try WrittenImage(in: directory.path, service: "floe+unix:/run/floe.sock/x")
    let service = SampleService(id: .random())
    let image = try open(written.path, connect: service.connect)
    let error = #expect(throws: SourceError.self) { try image.productionHost.liveCheck() }
    #expect(error?.description.contains("has no image “\(written.id)”") == true)
    #expect(service.calls == [.connect("floe+unix:/run/floe.sock/x"), .close])
    // It was reached. Whoever comes up there later with the image is asked all the same.
    guard case .failed? = error else {
      Issue.record("nobody was reached")
      return
    }
  }

  @Test func aMountIsToldToTheServiceThatTheFileNames() throws {
    let written = try WrittenImage(in: directory.path, service: "floe+unix:/run/floe.sock/x")
    let service = SampleService(id: written.id, holdsSessions: true)
    let image = try open(written.path, mountpoint: "/mnt", connect: service.connect)
    defer { image.close() }
    service.wait { $0.contains(.session("/mnt")) }
    // Once, however many ask while it is being told.
    let readers = DispatchGroup()
    for _ in 0..<4 {
      DispatchQueue.global().async(group: readers) { try? image.productionHost.liveCheck() }
    }
    usleep(50_000)
    service.letSessionsStart()
    readers.wait()
    #expect(service.calls.count { $0 == .session("/mnt") } == 1)
    #expect(service.calls.count { $0 == .liveCheck } == 4)
  }

  // MARK: - A service

  private let address = "floe+unix:/run/floe.sock/nightly"

  @Test func anImageOfAServiceIsKeptFromThawingBeforeItIsFetched() throws {
    let written = try WrittenImage(in: directory.path)
    let service = SampleService(id: written.id, file: written.path)
    let image = try OpenedImage(
      .service(ServiceAddress(address)), cache: directory.path.string, mountpoint: "/mnt",
      connect: service.connect)
    #expect(service.calls == [.connect(address), .session("/mnt"), .fetch])
    #expect(image.representation.image.id == written.id)
    #expect(image.owner == nil && !image.isFileOfThisHost)
    #expect(image.hasProductionHost && image.serviceName == address)
    image.close()
    #expect(service.calls.last == .close)
  }

  @Test func anotherImagesRepresentationIsRefused() throws {
    let written = try WrittenImage(in: directory.path)
    let service = SampleService(id: .random(), file: written.path)
    let error = #expect(throws: Failure.self) {
      try OpenedImage(
        .service(ServiceAddress(address)), cache: directory.path.string, mountpoint: nil,
        connect: service.connect)
    }
    #expect(error?.description.contains(address) == true)
    #expect(service.calls == [.connect(address), .fetch, .close])
  }

  @Test func aDamagedRepresentationOfAServiceIsRefused() throws {
    let written = try WrittenImage(in: directory.path)
    let file = try FileDescriptor.open(written.path, .readWrite)
    _ = try file.closeAfter { try file.writeAll(toAbsoluteOffset: 5000, [0xFF, 0xFF, 0xFF]) }
    let service = SampleService(id: written.id, file: written.path)
    #expect(throws: Failure.self) {
      try OpenedImage(
        .service(ServiceAddress(address)), cache: directory.path.string, mountpoint: nil,
        connect: service.connect)
    }
    #expect(service.calls.last == .close)
  }
}

/// For files that name no service.
private let noConnection: ServiceConnector = { (address) throws(ServiceError) in
  throw .refused("a file that names no service connects to nobody")
}
