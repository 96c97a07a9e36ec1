import Crypto
public import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import Synchronization
public import SystemPackage

extension Catalogue {
  /// Takes a name for an image that is about to be frozen, durably, before anything of
  /// it exists: whatever a crash leaves behind is listed as an orphan from now on.
  ///
  /// - Parameter providerData: with what is planned (the snapshot's path), so that an
  ///   orphan can be thawed.
  /// - Throws: `CatalogueError.nameUsed`, `.nameOrphaned`, `.invalidName`, `.full`,
  ///   `.notWritable`.
  public func reserve(
    _ image: UniqueIdentifier, name: String, provider: String, providerData: String,
    source: String
  ) throws -> Reservation {
    guard ImageName.isValid(name) else { throw CatalogueError.invalidName(name) }
    try create()
    return try files.withStateLock {
      try removeLeftovers()
      let same = try entries().first { $0.record?.name == name || $0.id == image }
      if let same {
        throw same.state == .orphan
          ? CatalogueError.nameOrphaned(name, remedy: command("thaw \(name)"))
          : CatalogueError.nameUsed(name)
      }
      let record = ImageRecord(
        id: image, name: name, provider: provider, providerData: providerData, source: source,
        created: now(), phase: .freezing, representation: nil)
      let hidden = images.appending(".new-\(image)")
      do {
        try files.makeDirectory(hidden)
        guard let lock = try files.lock(hidden) else {
          throw CatalogueError.beingFrozen(image: name)
        }
        do {
          try files.write(record, to: hidden.appending("image.json"))
          try files.move(hidden, to: directory(of: image))
        } catch {
          try? lock.close()
          throw error
        }
        return Reservation(catalogue: self, record: record, lock: lock)
      } catch {
        try? files.remove(hidden)
        try? files.remove(directory(of: image))
        throw error
      }
    }
  }

  /// Removes what a crash left of directories that were about to appear or vanish.
  func removeLeftovers() throws(CatalogueError) {
    for name in try files.names(in: images) where name.hasPrefix(".") {
      try files.remove(images.appending(name))
    }
  }
}

/// An image that is being frozen by this process, and by no other.
public final class Reservation: Sendable {
  private struct State {
    var record: ImageRecord
    var lock: FileDescriptor?
  }

  private let catalogue: Catalogue
  private let state: Mutex<State>

  init(catalogue: Catalogue, record: ImageRecord, lock: FileDescriptor) {
    self.catalogue = catalogue
    state = Mutex(State(record: record, lock: lock))
  }

  deinit { release() }

  /// The record as it is now.
  public var record: ImageRecord { state.withLock { $0.record } }

  /// Where the representation is to be written; its directory is the image's own.
  public var representationPath: FilePath { catalogue.representationPath(of: record.id) }

  /// Keeps what the provider knows now, the snapshot exists.
  ///
  /// - Throws: `CatalogueError.failed` when the record cannot be written.
  public func update(providerData: String) throws(CatalogueError) {
    var record = record
    record.providerData = providerData
    try keep(record)
  }

  /// Measures the representation and makes the image known as frozen.
  ///
  /// - Throws: `CatalogueError.failed` when the representation cannot be read, or the record
  ///   not written.
  @discardableResult
  public func complete() throws(CatalogueError) -> ImageRecord {
    var record = record
    record.representation = try digest(representationPath)
    record.phase = .frozen
    try keep(record)
    release()
    return record
  }

  /// Forgets the image; what the provider made must be gone by then.
  ///
  /// - Throws: `CatalogueError.failed` when a file of it cannot be removed.
  public func abandon() throws {
    let image = record.id
    try catalogue.files.withStateLock { try catalogue.forget(image) }
    release()
  }

  private func keep(_ record: ImageRecord) throws(CatalogueError) {
    try catalogue.files.write(record, to: catalogue.recordPath(of: record.id))
    state.withLock { $0.record = record }
  }

  private func release() {
    state.withLock { state in
      try? state.lock?.close()
      state.lock = nil
    }
  }

  private func digest(_ path: FilePath) throws(CatalogueError) -> ImageRecord.Representation {
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
      return try file.closeAfter {
        var hash = SHA256()
        var length: UInt64 = 0
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
          let count = try chunk.withUnsafeMutableBytes { bytes in
            let count = try file.read(into: bytes)
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
          }
          if count == 0 { break }
          length += UInt64(count)
        }
        return ImageRecord.Representation(length: length, sha256: hash.finalize().hexadecimal)
      }
    } catch {
      throw .failed(
        operation: "read", path: path.string, reason: error as? Errno ?? .ioError)
    }
  }
}
