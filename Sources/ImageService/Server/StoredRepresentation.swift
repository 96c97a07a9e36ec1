import Catalogue
import FloeWire
import FoundationEssentials
import FrozenImage
import Glibc
import HostSystem
import SwiftProtobuf
import SystemPackage

/// An image's representation on its way to a backup host. The file stays open, so that
/// a thaw in between does not cut it short.
final class StoredRepresentation: Sendable {
  let header: Floe_V1_RepresentationHeader
  private let path: FilePath
  private let descriptor: FileDescriptor

  /// - Throws: `CatalogueError` when there is no such image, or its file is not readable.
  init(of image: UniqueIdentifier, in catalogue: Catalogue) throws {
    let record = try catalogue.frozenRecord(of: image)
    guard let representation = record.representation,
      let digest = [UInt8](hexadecimal: representation.sha256), digest.count == 32
    else {
      throw CatalogueError.damaged(
        image: record.name, reason: "it does not say what its representation is")
    }
    path = catalogue.representationPath(of: image)
    do {
      descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
    } catch {
      throw CatalogueError.failed(
        operation: "open", path: path.string, reason: error as? Errno ?? .ioError)
    }
    header = .with {
      $0.length = representation.length
      $0.sha256 = Data(digest)
    }
  }

  deinit { close(descriptor.rawValue) }

  /// The next chunk: at least one byte. Blocks.
  func read(at offset: UInt64) throws -> Data {
    guard let position = Int64(exactly: offset) else {
      throw WireError("the offset \(offset) is out of range")
    }
    let wanted = Int(min(UInt64(WireLimit.chunkLength), header.length - min(offset, header.length)))
    var bytes = Data(count: wanted)
    let count: Int
    do {
      count = try bytes.withUnsafeMutableBytes {
        try descriptor.read(fromAbsoluteOffset: position, into: $0)
      }
    } catch {
      throw CatalogueError.failed(
        operation: "read", path: path.string, reason: error as? Errno ?? .ioError)
    }
    guard count > 0 else {
      throw CatalogueError.damaged(
        image: path.string, reason: "it ends at byte \(offset) of \(header.length)")
    }
    return bytes.prefix(count)
  }
}
