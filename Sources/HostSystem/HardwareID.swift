/// The identifier that the hardware itself gives to a block device (WWID). A clone of a
/// LUN carries the same bytes, but has an identifier of its own.
public struct HardwareID: Hashable, Sendable, CustomStringConvertible {
  /// "naa.600a…", "eui.…", "uuid.…", "nvme.…", "t10.…" as the kernel writes it, or
  /// "mpath-…" for a multipath map whose name says it in another form.
  public let description: String

  /// - Parameter text: one that was recorded, or a `wwid` of sysfs; `nil` when it is
  ///   empty.
  public init?(_ text: some StringProtocol) {
    // SCSI pads vendor and model with spaces.
    let words = text.prefix { !$0.isNewline }.split(separator: " ")
    guard !words.isEmpty else { return nil }
    description = words.joined(separator: " ")
  }

  /// - Parameter map: what a device-mapper device is called (`dm/uuid` in sysfs):
  ///   "mpath-" and a WWID for a multipath map, "part1-mpath-…" for its first partition
  ///   (multipath-tools, libmultipath and kpartx). A WWID that udev's scsi_id made begins
  ///   with the designator's type of SPC-5's page 83h: 2 is EUI-64, 3 is NAA. Gives `nil`
  ///   for other maps.
  init?(ofMap map: String) {
    var rest = map[...]
    if rest.hasPrefix("part"), let dash = rest.firstIndex(of: "-") {
      rest = rest[rest.index(after: dash)...]
    }
    guard rest.hasPrefix("mpath-") else { return nil }
    let name = rest.dropFirst(6)
    let number = name.dropFirst()
    let isNumber = number.allSatisfy(\.isHexDigit)
    if isNumber, name.first == "3", [16, 32].contains(number.count) {
      self.init("naa." + number)
    } else if isNumber, name.first == "2", [16, 24, 32].contains(number.count) {
      self.init("eui." + number)
    } else if HardwareID(name)?.form != nil {
      self.init(name)
    } else {
      self.init(rest)
    }
  }

  /// Whether this and another one prove that two devices are not the same: both are in
  /// one form, and differ.
  package func contradicts(_ other: HardwareID) -> Bool {
    guard let form, form == other.form else { return false }
    return description.lowercased() != other.description.lowercased()
  }

  /// Whether this and another one prove that two devices are the same: both are the same
  /// identifier, of a kind that is unique in the world. A virtual machine's "t10." and
  /// "nvme." may count its drives.
  package func proves(_ other: HardwareID) -> Bool {
    guard let kind = form?.prefix(4), ["naa ", "eui ", "uuid"].contains(kind) else { return false }
    return description.lowercased() == other.description.lowercased()
  }

  /// Whether it is in a form of the kernel's, so that it can be compared at all.
  var isComparable: Bool { form != nil }

  /// The kind of identifier, and how long one of a fixed length is: a device may have
  /// several, and only two of one form can be compared. `nil` for what is not the
  /// kernel's.
  private var form: String? {
    guard let dot = description.firstIndex(of: ".") else { return nil }
    let kind = description[..<dot].lowercased()
    switch kind {
    case "naa", "eui": return "\(kind) \(description.utf8.count)"
    case "uuid", "nvme", "t10": return kind
    default: return nil
    }
  }
}
