import ArgumentParser
import Catalogue
import DataSets
import Freezing
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageService
import Logging
import SystemPackage

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer backup hosts, until SIGTERM or SIGINT.",
    discussion: """
      Listens on a Unix socket in the state directory that only its owner may use, unless told \
      otherwise. TCP addresses other than loopback are refused, as there is no TLS yet; nothing \
      authenticates on a TCP port, so any user of this host can read every image through one.
      """)

  @Option(
    help: ArgumentHelp(
      "Where to listen rather than on floe.sock in the state directory.",
      valueName: "unix:PATH|HOST:PORT"))
  var listen: String?

  @OptionGroup var state: StateOptions

  @OptionGroup var log: LogOptions

  func run() throws {
    LogDestination.use(background: false, log)
    Self.raiseDescriptorLimit()
    let catalogue = state.catalogue
    let endpoint = try endpoint(of: catalogue)
    let server = ImageServer(
      catalogue: catalogue, host: HostName.current, logger: Logger(label: "floe.serve"),
      open: { record in try Providers.all.productionHost(for: record, in: catalogue) })
    server.shutDownOnSignals()
    let outcome = Monitor<Outcome>(.running)
    Task.detached {
      var failure: Failure?
      do {
        try await server.run(listen: endpoint) {
          Logger(label: "floe.serve").notice(
            "listening on \($0)", metadata: ["state": "\(catalogue.directory)"])
          Self.watch(catalogue)
        }
      } catch {
        failure = Failure(error)
      }
      outcome.withLock { [failure] in $0 = .ended(failure) }
      outcome.notifyAll()
    }
    // This thread is the program's own: it may wait.
    let failure: Failure? = outcome.wait { outcome in
      if case .ended(let failure) = outcome { .done(failure) } else { .wait }
    }
    if let failure { throw failure }
  }

  /// Begins what the service does by itself.
  private static func watch(_ catalogue: Catalogue) {
    do {
      try watchFill(of: catalogue)
      try watchLeases(of: catalogue)
    } catch {
      Logger(label: "floe.serve").error("no thread looks after snapshots and leases: \(error)")
    }
  }

  /// Warns of snapshots that are about to be full, and has those grow that may, as long as the
  /// service runs.
  private static func watchFill(of catalogue: Catalogue) throws(Errno) {
    try Thread.detach {
      var watch = FillWatch(catalogue, Providers.all)
      let logger = Logger(label: "floe.serve")
      while true {
        watch.look { image, event in
          switch event {
          case .fills(let fill): logger.warning("\(fill.sentence)", metadata: ["image": "\(image)"])
          case .grew(let done): logger.notice("\(done)", metadata: ["image": "\(image)"])
          case .cannotGrow(let reason):
            logger.warning("it is not extended: \(reason)", metadata: ["image": "\(image)"])
          }
        }
        sleep(10)
      }
    }
  }

  /// Thaws images whose backup is gone and whose lease is over, as long as the service runs.
  private static func watchLeases(of catalogue: Catalogue) throws(Errno) {
    try Thread.detach {
      let logger = Logger(label: "floe.serve")
      var told = ProblemsTold()
      while true {
        do throws(CatalogueError) {
          try catalogue.thawExpired(release: Providers.all.release) { image, problem in
            guard let problem else {
              told.forget(image)
              logger.notice("thawed, as its lease is over", metadata: ["image": "\(image)"])
              return
            }
            if told.isNew("\(problem)", of: image) {
              logger.warning(
                "its lease is over and it cannot be thawed, which is tried again: \(problem)",
                metadata: ["image": "\(image)"])
            }
          }
          told.forget("")
        } catch {
          if told.isNew("\(error)", of: "") { logger.warning("\(error)") }
        }
        sleep(2)
      }
    }
  }

  private func endpoint(of catalogue: Catalogue) throws -> ServiceEndpoint {
    guard let listen else { return try ImageServer.defaultEndpoint(of: catalogue) }
    do {
      return try ServiceEndpoint(listening: listen)
    } catch {
      throw Failure("--listen", cause: error)
    }
  }

  /// Each image keeps files open, and each connection one; the limit that most shells give
  /// is made for programs that use select(2) (getrlimit(2)).
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private enum Outcome: Sendable {
    case running
    case ended(Failure?)
  }
}
