import DataSets
import FrozenImage
import VolumeLayers

/// The header of a qcow2 image, checked; all numbers are big-endian.
struct Qcow2Header {
  static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xFB]

  /// Incompatible features that are known here.
  struct Features: OptionSet {
    let rawValue: UInt64

    static let dirty = Features(rawValue: 1 << 0)
    static let corrupt = Features(rawValue: 1 << 1)
    static let externalDataFile = Features(rawValue: 1 << 2)
    static let compressionType = Features(rawValue: 1 << 3)
    static let extendedEntries = Features(rawValue: 1 << 4)
    static let all: Features = [
      .dirty, .corrupt, .externalDataFile, .compressionType, .extendedEntries,
    ]
  }

  enum Compression: UInt8 {
    case deflate = 0
    case zstd = 1
  }

  let version: UInt32
  let features: Features
  /// Bytes of a cluster: 512 through 2 MiB, as QEMU allows.
  let clusterBits: UInt64
  /// Bytes of the guest's disk: whole sectors, as QEMU has it.
  let size: UInt64
  /// Bytes from the start of the image.
  let tableOffset: UInt64
  /// Entries of the active L1 table.
  let tableCount: UInt32
  /// Bytes of the header's fields.
  let length: Int
  let compression: Compression
  /// As the header has it; `nil` when the image has none.
  let backingFile: String?
  let backingFilePlace: Range<UInt64>?
  let backingFormat: String?
  let dataFile: String?

  var clusterSize: UInt64 { 1 << clusterBits }
  var entryLength: UInt64 { features.contains(.extendedEntries) ? 16 : 8 }
  /// Bytes of the guest's disk that one L2 table maps.
  var tableSpan: UInt64 { clusterSize / entryLength * clusterSize }

  /// - Parameter image: begins with the magic.
  /// - Throws: `StackError`.
  init(of image: Layer) throws(StackError) {
    let title = image.title
    let bytes = try image.bytes(at: 0, count: Int(min(image.size, 4096)))
    let fields = BigEndianFields(bytes: bytes, title: title)
    version = try fields.number(at: 4)
    guard version == 2 || version == 3 else {
      throw StackError(
        .unsupported, "\(title) is a qcow image of version \(version), which is not supported")
    }
    clusterBits = UInt64(try fields.number(at: 20) as UInt32)
    guard (9...21).contains(clusterBits) else {
      throw StackError(
        .malformed, "\(title) has a damaged qcow2 header: clusters of 2^\(clusterBits) bytes")
    }
    let bytesOfDisk: UInt64 = try fields.number(at: 24)
    guard bytesOfDisk <= UInt64(Int64.max) else {
      throw StackError(
        .malformed, "\(title) has a damaged qcow2 header: a disk of \(bytesOfDisk) bytes")
    }
    size = bytesOfDisk & ~511
    try Self.refuseEncryption(method: fields.number(at: 32), title)
    tableCount = try fields.number(at: 36)
    tableOffset = try fields.number(at: 40)
    var length: UInt32 = 72
    var features = Features()
    if version == 3 {
      length = try fields.number(at: 100)
      guard length >= 104, UInt64(length) <= 1 << clusterBits, Int(length) <= bytes.count else {
        throw StackError(
          .malformed, "\(title) has a damaged qcow2 header: it is \(length) bytes long")
      }
      features = Features(rawValue: try fields.number(at: 72))
    }
    self.length = Int(length)
    self.features = features
    let place = try Self.backingFilePlace(fields, clusterSize: 1 << clusterBits)
    backingFilePlace = place
    // The name of the backing file follows the extensions.
    let extensions = try Qcow2Extensions(
      of: image, from: UInt64(length), to: place?.lowerBound ?? 1 << clusterBits, title)
    try Self.refuse(features, extensions, title)
    guard !features.contains(.extendedEntries) || clusterBits >= 14 else {
      throw StackError(
        .malformed, "\(title) has a damaged qcow2 header: extended L2 entries in small clusters")
    }
    compression = try Self.compression(features, length > 104 ? fields.number(at: 104) : 0, title)
    backingFile =
      if let place {
        try Self.text(image.bytes(at: place.lowerBound, count: place.count), title)
      } else { nil }
    backingFormat = try extensions.backingFormat.map { bytes throws(StackError) in
      try Self.text(bytes, title)
    }
    dataFile = try extensions.dataFile.map { bytes throws(StackError) in
      try Self.text(bytes, title)
    }
  }

  private static func refuseEncryption(method: UInt32, _ title: String) throws(StackError) {
    guard method != 0 else { return }
    let name = method == 1 ? "AES" : method == 2 ? "LUKS" : "method \(method)"
    throw StackError(.unsupported, "\(title) is encrypted (\(name)), which is not supported")
  }

  private static func refuse(
    _ features: Features, _ extensions: Qcow2Extensions, _ title: String
  ) throws(StackError) {
    if let bit = features.subtracting(.all).lowestBit {
      let name = extensions.incompatibleFeatures[bit].map { " (“\($0)”)" } ?? ""
      throw StackError(
        .unsupported, "\(title) needs the qcow2 feature bit \(bit)\(name), which is not supported")
    }
    if features.contains(.corrupt) {
      throw StackError(
        .malformed, "\(title) is marked as corrupt; qemu-img check -r all may repair it")
    }
    if features.contains(.dirty) {
      throw StackError(
        .inUse,
        "\(title) is marked as dirty: a virtual machine uses it, or it was not closed; shut the "
          + "machine down, and only when nobody has it open run qemu-img check -r all")
    }
  }

  private static func compression(
    _ features: Features, _ type: UInt8, _ title: String
  ) throws(StackError) -> Compression {
    guard let compression = Compression(rawValue: type) else {
      throw StackError(
        .unsupported, "\(title) has compressed clusters of type \(type), which is not supported")
    }
    guard (compression != .deflate) == features.contains(.compressionType) else {
      throw StackError(
        .malformed, "\(title) has a damaged qcow2 header: its compression type contradicts it")
    }
    return compression
  }

  private static func backingFilePlace(
    _ fields: BigEndianFields, clusterSize: UInt64
  ) throws(StackError) -> Range<UInt64>? {
    let offset: UInt64 = try fields.number(at: 8)
    guard offset != 0 else { return nil }
    let count = UInt64(try fields.number(at: 16) as UInt32)
    guard (1...1023).contains(count), offset <= clusterSize, count <= clusterSize - offset else {
      throw StackError(
        .malformed,
        "\(fields.title) has a damaged qcow2 header: the name of its backing file lies outside it")
    }
    return offset..<offset + count
  }

  private static func text(_ bytes: [UInt8], _ title: String) throws(StackError) -> String {
    guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
      throw StackError(
        .unsupported, "\(title) names a file or format in bytes that are not UTF-8 text")
    }
    return text
  }
}

extension Qcow2Header.Features {
  fileprivate var lowestBit: Int? { rawValue == 0 ? nil : rawValue.trailingZeroBitCount }
}

/// Big-endian numbers in a structure of a disk image.
struct BigEndianFields {
  let bytes: [UInt8]
  /// Whose, for messages.
  let title: String

  /// - Throws: `StackError` when the number does not lie inside the bytes.
  func number<Number: FixedWidthInteger>(at offset: Int) throws(StackError) -> Number {
    guard offset >= 0, offset <= bytes.count - MemoryLayout<Number>.size else {
      throw StackError(.malformed, "\(title) ends inside its qcow2 header")
    }
    return Number(
      bigEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    )
  }
}
