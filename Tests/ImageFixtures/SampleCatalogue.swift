package import Catalogue
package import FrozenImage
import HostSystem
import Synchronization
import SystemPackage

extension Catalogue {
  /// Freezes an image whose representation is some bytes.
  @discardableResult
  package func freeze(
    _ name: String, as id: UniqueIdentifier = .random(), representation: [UInt8] = [1, 2, 3]
  ) throws -> ImageRecord {
    let reservation = try reserve(
      id, name: name, provider: "memory", providerData: "{\"planned\":true}", source: "/data")
    try reservation.update(providerData: "{\"made\":true}")
    let file = try FileDescriptor.open(
      reservation.representationPath, .writeOnly, options: [.create],
      permissions: .ownerReadWrite)
    _ = try file.closeAfter { try file.writeAll(representation) }
    return try reservation.complete()
  }

  package var namesFound: [String] {
    get throws { try entries().compactMap(\.record?.name).sorted() }
  }
}

/// A time of day that a test moves.
package final class Clock: Sendable {
  private let seconds = Mutex<Int64>(1_700_000_000)

  package init() {}

  package var now: Timestamp { Timestamp(seconds: seconds.withLock { $0 }, nanoseconds: 0) }

  package func advance(by seconds: Int64) { self.seconds.withLock { $0 += seconds } }
}
