import FrozenImage
import HostSystem

/// What lvm2 on this host makes of a physical volume, as lvm2 itself says: its devices file, its
/// filters and its defaults differ from one distribution to another.
struct LVMView: Hashable {
  /// What lvmconfig(8), `lvm systemid` and pvs(8) printed; `nil` where lvm2 did not answer.
  let configuration: String?
  let system: String?
  let volume: String?

  private static let patience: UInt64 = 20_000_000_000
  private static let key = "activation/auto_activation_volume_list"
  private static let fields = "pv_name,vg_name,vg_systemid,vg_autoactivation,vg_tags"

  init(configuration: String?, system: String?, volume: String?) {
    self.configuration = configuration
    self.system = system
    self.volume = volume
  }

  /// Asks lvm2 about a device. It reads the device, and writes nothing: `--readonly`.
  init(of device: String) {
    configuration = Self.said(["lvmconfig", "--type", "full", Self.key])
    system = Self.said(["systemid"])
    volume = Self.said([
      "pvs", "--readonly", "--foreign", "--noheadings", "--separator", "|", "-o", Self.fields,
      device,
    ])
  }

  private static func said(_ words: [String]) -> String? {
    ChildProcess.output(of: "lvm", ["lvm"] + words, within: patience, joinsErrors: true)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  /// What lvm2 does with the device.
  enum Handling: Hashable {
    /// It does not look at it: a devices file or a filter.
    case ignored
    /// It sees the group and would not activate it by itself; why.
    case seen(group: String, why: String)
    /// It activates the group when the device appears or the host starts.
    case activated(group: String)
    /// It sees a physical volume that belongs to no group.
    case unused
    /// What it said makes no sense here.
    case unknown(String)
  }

  /// - Parameter device: as lvm2 was asked.
  var handling: Handling {
    guard let volume, let configuration else { return .unknown("it did not answer") }
    let lines = volume.split(whereSeparator: \.isNewline)
    guard let row = lines.lazy.map({ Self.cells($0) }).first(where: { $0.count == 5 }) else {
      let refusals = ["rejected", "excluded", "not in devices file", "Failed to find"]
      if lines.contains(where: { line in refusals.contains { line.contains($0) } }) {
        return .ignored
      }
      return .unknown(lines.last.map { String($0.drop(while: \.isWhitespace)) } ?? "nothing")
    }
    let (group, owner, activation, tags) = (row[1], row[2], row[3], row[4])
    guard !group.isEmpty else { return .unused }
    if let why = hindrance(group, tags.split(separator: ",").map(String.init), configuration) {
      return .seen(group: group, why: why)
    }
    // lvmsystemid(7): a group of another host's is not activated.
    if !owner.isEmpty, owner != ownIdentifier {
      return .seen(group: group, why: "it belongs to the host with the system ID \(owner)")
    }
    guard activation == "enabled" else {
      return .seen(group: group, why: "the group says so (vgchange --setautoactivation n)")
    }
    return .activated(group: group)
  }

  /// This host's, from “system ID: NAME”; empty when it has none.
  private var ownIdentifier: String {
    let line = (system ?? "").split(whereSeparator: \.isNewline).first { $0.contains("system ID:") }
    return line?.split(separator: ":", maxSplits: 1).last
      .map { String($0.filter { !$0.isWhitespace }) } ?? ""
  }

  /// What keeps a group from being activated; `nil` for nothing.
  private func hindrance(_ group: String, _ tags: [String], _ configuration: String) -> String? {
    guard let list = Self.values(configuration)["auto_activation_volume_list"] else { return nil }
    // lvm.conf(5): a group, a volume of it, a tag, or the tags of this host.
    let isListed = list.contains { word in
      word == group || word.hasPrefix("\(group)/") || word == "@*"
        || (word.hasPrefix("@") && tags.contains(String(word.dropFirst())))
    }
    return isListed ? nil : "auto_activation_volume_list of lvm.conf does not have it"
  }

  private static func cells(_ line: Substring) -> [String] {
    line.split(separator: "|", omittingEmptySubsequences: false).map { cell in
      String(cell.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
  }

  /// `key=value` and `key=["value","value"]`, as lvmconfig(8) prints them.
  static func values(_ text: String) -> [String: [String]] {
    var values: [String: [String]] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      guard let equals = line.firstIndex(of: "=") else { continue }
      let value = line[line.index(after: equals)...]
      let words =
        value.contains("\"")
        ? value.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
          .filter { $0.offset % 2 == 1 }.map { String($0.element) }
        : value.hasPrefix("[") ? [] : [String(value)]
      values[String(line[..<equals])] = words
    }
    return values
  }
}
