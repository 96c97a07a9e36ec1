import DataSets
import FrozenImage
import ImageReader
import Media
import VolumeLayers

/// How the stack of an image is found again from its media alone: the steps up from them,
/// and what is on top.
///
/// It names what is on the media, never a path or a device of a host.
struct StackTrail: Hashable, Sendable {
  static let provider = "stack"
  private static let heading = "floe stack 1"

  /// What the top layer is, for people ("logical volume vg/snap").
  let title: String
  /// The partitions and logical volumes on the way up (`FoundStack.pins`).
  let pins: [String]
  /// The kind of file system; `nil` for a raw volume.
  let kind: String?
  /// The file system's witness when it was frozen.
  let witness: [UInt8]
  /// Whether its volume group may name disks beside the media of the freeze. What lies in a
  /// file or in a logical volume may be a guest's, whose text names what it likes.
  let mayTakeMembers: Bool

  /// - Returns: `nil` where the media alone do not tell: a stack whose layers are named by
  ///   files, or not kept plainly.
  init?(of found: FoundStack, witness: [UInt8]) {
    title = found.stack.top.title
    pins = found.pins.filter { !$0.hasPrefix("file ") }
    kind = found.content?.kind
    self.witness = witness
    mayTakeMembers =
      pins.filter { StorageFinder.isVolume($0) }.count == 1
      && found.stack.layers.allSatisfy { layer in
        guard case .medium(let medium) = layer.substance else { return true }
        return (medium as? OpenMedium)?.deviceNumber != nil
      }
    guard found.stack.validation == .witness, leads(to: found) else { return nil }
  }

  /// Times that it is tried while the stack moves.
  private static let attempts = 5

  /// Whether the same stack is found on the media alone.
  private func leads(to found: FoundStack) -> Bool {
    let media = found.stack.layers.compactMap { layer -> (any Medium)? in
      if case .medium(let medium) = layer.substance { medium } else { nil }
    }
    let finder = StorageFinder(self, media: { media }, take: { _ in nil })
    for _ in 0..<Self.attempts {
      do throws(StackError) {
        let again = try finder.find()
        return again.content?.kind == kind && again.stack.top.size == found.stack.top.size
          && again.stack.validation == .witness
          && (try? again.stack.media().map(\.id)) == (try? found.stack.media().map(\.id))
      } catch {
        guard found.isLive else { return false }
      }
    }
    return false
  }

  /// As the representation carries it: a line for each part; `nil` where it is too long, or
  /// has a line end in it.
  var encoded: StorageTrail? {
    let digits = Array("0123456789abcdef")
    let lines =
      [Self.heading, "title \(title)"] + pins.map { "pin \($0)" }
      + (kind.map { ["kind \($0)"] } ?? []) + (mayTakeMembers ? ["members any"] : [])
      + ["witness " + String(witness.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })]
    guard !lines.contains(where: { $0.utf8.contains(UInt8(ascii: "\n")) }) else { return nil }
    return StorageTrail(
      provider: Self.provider, bytes: Array(lines.joined(separator: "\n").utf8))
  }

  /// Reads what a representation carries; `nil` when it is not of this provider, or of a form
  /// that this floe does not know.
  init?(_ trail: StorageTrail) {
    guard trail.provider == Self.provider,
      let text = String(validating: trail.bytes, as: UTF8.self)
    else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == Self.heading[...] else { return nil }
    var title: String?
    var pins: [String] = []
    var kind: String?
    var witness: [UInt8]?
    var mayTakeMembers = false
    for line in lines.dropFirst() {
      let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2 else { return nil }
      switch words[0] {
      case "title": title = String(words[1])
      case "pin": pins.append(String(words[1]))
      case "kind": kind = String(words[1])
      case "witness": witness = Self.bytes(words[1])
      case "members" where words[1] == "any": mayTakeMembers = true
      default: return nil
      }
    }
    guard let title, let witness, pins.count <= StoreMap.maximumDepth else { return nil }
    self.title = title
    self.pins = pins
    self.kind = kind
    self.witness = witness
    self.mayTakeMembers = mayTakeMembers
  }

  /// Of pairs of hexadecimal digits.
  private static func bytes(_ text: Substring) -> [UInt8]? {
    guard text.utf8.count.isMultiple(of: 2), text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") })
    else { return nil }
    var bytes: [UInt8] = []
    var rest = text
    while !rest.isEmpty {
      guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  /// The image as `StackFinder` knows it. Its place is never looked at.
  var image: StackFreezer.Image {
    StackFreezer.Image(
      place: StackPlace(
        start: .path("/"), selectors: [], physicalVolumes: [], format: .raw,
        assumesFrozen: true), pins: pins, kind: kind, witness: witness)
  }
}
