import Crypto
import FloeWire
import FoundationEssentials
import FrozenImage
import GRPCCore
import Glibc
import HostSystem
import ImageAccess
import SwiftProtobuf
import SystemPackage

/// One fetch of a representation: attempts that each go on where the one before stopped.
struct RepresentationFetch {
  /// An attempt that takes longer is broken off and resumed, so that a line that went
  /// silent is noticed.
  private static let attemptTimeout = Duration.seconds(60)
  /// Microseconds between an attempt that brought nothing and the next.
  private static let pause: UInt32 = 200_000

  private let image: RemoteImage
  private let file: FetchedFile

  init(
    of image: RemoteImage, into directory: FilePath, limit: CacheLimit
  ) throws(ServiceError) {
    self.image = image
    file = try FetchedFile(in: directory, limit: limit)
  }

  func run() throws(ServiceError) -> FileDescriptor {
    // Writing blocks, so it has a thread of its own.
    let pool: BlockingPool
    do throws(Errno) {
      pool = try BlockingPool(threads: 1, maximumWaiting: 16)
    } catch {
      throw .cannotKeep("no thread can be started to write it: \(error)")
    }
    defer { pool.stop() }
    var giveUp = MonotonicClock.now() &+ image.timeouts.stalledFetch.nanoseconds
    while true {
      let before = file.length
      do throws(ServiceError) {
        try attempt(pool)
        return try file.finish()
      } catch .unreachable(let endpoint, let reason) {
        if file.length > before {
          giveUp = MonotonicClock.now() &+ image.timeouts.stalledFetch.nanoseconds
        } else if MonotonicClock.now() >= giveUp {
          throw .unreachable(endpoint, reason: reason)
        } else {
          usleep(Self.pause)
        }
      }
    }
  }

  private func attempt(_ pool: BlockingPool) throws(ServiceError) {
    let file = file
    let request = Floe_V1_FetchRepresentationRequest.with {
      $0.image = image.summary.id.wire
      $0.offset = file.length
    }
    try image.connection.call(timeout: Self.attemptTimeout) { calls, options in
      try await calls.fetchRepresentation(request, options: options) { response in
        for try await chunk in response.messages {
          try await pool.run { try file.take(chunk) }
        }
      }
    }
  }
}

/// The representation as far as it came, in a file without a name.
private final class FetchedFile: @unchecked Sendable {
  // Unchecked: an attempt's writes follow one another, and the thread that runs the
  // attempts looks only between two of them. The lock makes an attempt that was given
  // up harmless.
  private let lock = Monitor(())
  private let descriptor: FileDescriptor
  private let directory: FilePath
  private let limit: CacheLimit
  private var hasRoom = false
  private var isHandedOver = false
  private var assembly = RepresentationAssembly()
  private var hash = SHA256()

  init(in directory: FilePath, limit: CacheLimit) throws(ServiceError) {
    self.directory = directory
    self.limit = limit
    do throws(Errno) {
      descriptor = try TemporaryFile.make(in: directory)
    } catch {
      throw .cannotKeep("no file can be made in \(directory): \(error)")
    }
  }

  deinit {
    if !isHandedOver { Glibc.close(descriptor.rawValue) }
  }

  /// Bytes that came and were written.
  var length: UInt64 { lock.withLock { _ in assembly.length } }

  func take(_ chunk: Floe_V1_RepresentationChunk) throws {
    try lock.withLock { _ in Result { try write(chunk) } }.get()
  }

  private func write(_ chunk: Floe_V1_RepresentationChunk) throws {
    guard !isHandedOver else { return }
    let position = assembly.length
    try assembly.add(chunk)
    try checkRoom()
    guard !chunk.data.isEmpty else { return }
    do {
      try chunk.data.withUnsafeBytes { bytes in
        _ = try descriptor.writeAll(toAbsoluteOffset: Int64(position), bytes)
      }
    } catch {
      throw ServiceError.cannotKeep("\(directory): \(error)")
    }
    hash.update(data: chunk.data)
  }

  /// Looks whether there is room for the length that the header names, once it came. No
  /// more bytes than it names are taken (`RepresentationAssembly`).
  private func checkRoom() throws(ServiceError) {
    guard !hasRoom, let header = assembly.header else { return }
    do throws(CacheLimit.Excess) {
      try limit.check(header.length, in: descriptor, of: directory)
    } catch {
      throw .cannotKeep(error.description)
    }
    hasRoom = true
  }

  /// The file, once every byte came and the digest is right.
  func finish() throws(ServiceError) -> FileDescriptor {
    try lock.withLock { _ in Result { () throws(ServiceError) in try check() } }.get()
  }

  private func check() throws(ServiceError) -> FileDescriptor {
    guard let header = assembly.header, assembly.isComplete else {
      throw .corrupt("the representation ends after \(assembly.length) bytes")
    }
    guard Data(hash.finalize()) == header.sha256 else {
      throw .corrupt("the representation's SHA-256 is not the one that the service told")
    }
    do throws(Errno) {
      try TemporaryFile.synchronize(descriptor)
    } catch {
      throw .cannotKeep("\(directory): \(error)")
    }
    isHandedOver = true
    return descriptor
  }
}
