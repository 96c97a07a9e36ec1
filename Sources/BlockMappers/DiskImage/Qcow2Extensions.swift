import DataSets
import FrozenImage
import VolumeLayers

/// The extensions behind the header's fields, up to the end of the first cluster.
struct Qcow2Extensions {
  private(set) var backingFormat: [UInt8]?
  private(set) var dataFile: [UInt8]?
  /// Names of incompatible features by their bit, for messages.
  private(set) var incompatibleFeatures: [Int: String] = [:]

  private static let formatType: UInt32 = 0xE279_2ACA
  private static let dataFileType: UInt32 = 0x4441_5441
  private static let namesType: UInt32 = 0x6803_F857

  /// - Parameters:
  ///   - start: the header's length.
  ///   - end: where the name of the backing file or the next cluster begins.
  /// - Throws: `StackError` when one goes on beyond the cluster or the image.
  init(
    of image: Layer, from start: UInt64, to end: UInt64, _ title: String
  ) throws(StackError) {
    let end = min(end, image.size)
    var position = start
    while position <= end, end - position >= 8 {
      let fields = BigEndianFields(bytes: try image.bytes(at: position, count: 8), title: title)
      let type: UInt32 = try fields.number(at: 0)
      let length = UInt64(try fields.number(at: 4) as UInt32)
      guard type != 0 else { return }
      position += 8
      guard length <= end - position else {
        throw StackError(
          .malformed, "\(title) has a damaged qcow2 header: an extension is \(length) bytes long")
      }
      switch type {
      case Self.formatType: backingFormat = try image.bytes(at: position, count: Int(length))
      case Self.dataFileType: dataFile = try image.bytes(at: position, count: Int(length))
      case Self.namesType: addNames(try image.bytes(at: position, count: Int(length)))
      default: break
      }
      position += (length + 7) / 8 * 8
    }
  }

  /// Entries of 48 bytes: the kind of feature, its bit, its name padded with zeros.
  private mutating func addNames(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while rest.count >= 48 {
      let entry = Array(rest.prefix(48))
      if entry[0] == 0 {
        let name = entry[2...].prefix { $0 != 0 }
        // Shown to people: no control characters of a hostile image on a terminal.
        incompatibleFeatures[Int(entry[1])] = String(
          String(decoding: name, as: UTF8.self).unicodeScalars.filter {
            !$0.properties.generalCategory.isControl
          }.map(Character.init))
      }
      rest = rest.dropFirst(48)
    }
  }
}

extension Unicode.GeneralCategory {
  fileprivate var isControl: Bool { self == .control || self == .format }
}
