import Catalogue
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import ImageService
import Logging
import SystemPackage

/// The same image as a backup host has it: through a service in this process.
func overTheWire(
  _ make: @escaping @Sendable () throws -> HostUnderTest
) -> @Sendable () throws -> HostUnderTest {
  {
    let near = try make()
    let line = try Line(to: near.host)
    return HostUnderTest(
      host: line.remote, representation: near.representation, media: near.media,
      thaw: near.thaw, keeping: Kept(line: line, near: near))
  }
}

/// The line ends before what it leads to.
private struct Kept: Sendable {
  let line: Line
  let near: HostUnderTest
}

/// A service, and a line to it; both end with the object.
private final class Line: Sendable {
  let remote: RemoteImage
  private let directory: TemporaryDirectory
  private let server: ImageServer

  init(to host: any ProductionHost) throws {
    directory = try TemporaryDirectory()
    let catalogue = Catalogue(directory: directory.path.appending("state"))
    try catalogue.freeze("image")
    let server = ImageServer(
      catalogue: catalogue, host: "production1",
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, open: { _ in host })
    let endpoint = try ImageServer.defaultEndpoint(of: catalogue)
    let started = Monitor<Result<Void, any Error>?>(nil)
    Task.detached {
      let outcome: Result<Void, any Error>
      do {
        try await server.run(listen: endpoint) { _ in
          started.withLock { $0 = .success(()) }
          started.notifyAll()
        }
        return
      } catch {
        outcome = .failure(error)
      }
      started.withLock { $0 = $0 ?? outcome }
      started.notifyAll()
    }
    let outcome: Result<Void, any Error> = started.wait { outcome in
      if let outcome { .done(outcome) } else { .wait }
    }
    try outcome.get()
    self.server = server
    remote = try RemoteImage.connect(
      to: ServiceAddress("floe+unix:\(catalogue.directory)/floe.sock/image"),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  deinit {
    remote.close()
    server.shutDown()
  }
}
