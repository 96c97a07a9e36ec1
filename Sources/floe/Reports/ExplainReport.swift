import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageReader
import VerifiedReading

/// Why a byte cannot be explained.
struct ExplainProblem: Codable {
  var problem: String
}

/// What `floe explain` tells: where one byte of a file is right now.
struct ExplainReport: Codable {
  struct Link: Codable {
    var store: String
    var offset: UInt64
  }

  struct Copy: Codable {
    var medium: String
    var label: String
    /// Where this host has the medium; absent when it cannot be used.
    var path: String?
    /// Bytes from the start of the medium.
    var offset: UInt64
    /// The 512-byte sector that holds the byte.
    var sector: UInt64
    /// Prints the block that holds the byte, without floe.
    var dd: String?
  }

  struct Checksum: Codable {
    var algorithm: String
    var value: String
    var block_offset: UInt64
    var block_length: UInt64
  }

  var inode: UInt64
  var offset: UInt64
  var configuration_id: String
  /// "storage", "compressed" (storage too; chain and copies lead to the first stored byte
  /// of the compressed run that holds the byte), "production_host", "representation" or
  /// "hole".
  var source: String
  var chain: [Link]
  var copies: [Copy]
  var checksum: Checksum?

  init(_ place: BytePlace, inode: UInt64, offset: UInt64) {
    self.inode = inode
    self.offset = offset
    configuration_id = place.configurationID.reportText
    source =
      switch place.source {
      case .zeros: "hole"
      case .inline: "representation"
      case .media: "storage"
      case .compressed: "compressed"
      case .productionHost: "production_host"
      case .unreadable: "unreadable"
      }
    // A compressed run begins at the beginning of a block.
    let inFile = source == "compressed" ? 0 : offset
    chain = place.links.map { Link(store: $0.store, offset: $0.offset) }
    copies = place.copies.map { copy in
      Copy(
        medium: copy.medium.id.description, label: copy.medium.label, path: copy.path,
        offset: copy.offset, sector: copy.offset / 512,
        dd: copy.path.map { Self.dd(path: $0, offset: copy.offset, inFile: inFile) })
    }
    checksum = place.checksum.map { checksum in
      // Numbers are stored little-endian; written the way that tools print them.
      let isNumber = checksum.algorithm == .crc32c || checksum.algorithm == .xxhash64
      let bytes = isNumber ? checksum.bytes.reversed() : checksum.bytes
      return Checksum(
        algorithm: "\(checksum.algorithm)", value: bytes.hexadecimal,
        block_offset: checksum.block.lowerBound, block_length: UInt64(checksum.block.count))
    }
  }

  /// A dd(1) line that prints the 4096-byte block of the file that holds the byte.
  private static func dd(path: String, offset: UInt64, inFile fileOffset: UInt64) -> String {
    let inBlock = fileOffset % 4096
    let start = offset >= inBlock ? offset - inBlock : offset
    var status = stat()
    let isDevice = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK
    let direct = isDevice ? ",direct" : ""
    let file = VisibleText.shellWord(path)
    return "dd if=\(file) bs=4096 count=1 skip=\(start) iflag=skip_bytes,fullblock\(direct) "
      + "status=none"
  }

  /// The report for people.
  var text: String {
    var lines = [
      "byte \(offset) of inode \(inode), under configuration ID "
        + abbreviated(configurationID: configuration_id)
    ]
    switch source {
    case "hole": lines.append("  a hole: reads as zero, lies nowhere")
    case "representation": lines.append("  inside the representation (inline data)")
    case "compressed": lines.append("  decoded from the compressed run that begins at")
    case "production_host": lines.append("  read through the production host")
    default: break
    }
    for link in chain { lines.append("  \(link.store) at byte \(link.offset)") }
    for copy in copies {
      lines.append(
        "  medium \(copy.label) (\(copy.medium)) at byte \(copy.offset), sector \(copy.sector), "
          + "here \(copy.path ?? "not found")")
      if let dd = copy.dd { lines.append("    \(dd)") }
    }
    if !copies.isEmpty, source != "compressed" {
      lines.append("  the byte is number \(offset % 4096) of the block that dd prints")
    }
    if let checksum {
      lines.append(
        "  \(checksum.algorithm) 0x\(checksum.value) of the \(checksum.block_length) bytes "
          + "from \(checksum.block_offset)")
    }
    return VisibleText.page(lines)
  }
}
