import Freezing
import FrozenImage
import HostSystem
import LogicalRepresentation
import SystemPackage

/// What `floe freeze` tells; the JSON form's keys are part of floe's interface.
struct FreezeReport: Encodable {
  struct Medium: Encodable {
    var id: String
    /// What the volume calls it ("devid 1"), or its path.
    var label: String
    var path: String
    var size: UInt64

    init(_ medium: MediumDescription) {
      id = medium.id.description
      label = medium.label
      path = medium.path
      size = medium.size
    }
  }

  var image: String
  var id: String
  /// The provider ("btrfs", "stack").
  var provider: String
  /// The snapshot that was made, or taken as it is.
  var snapshot: String?
  /// Inodes of every type, files and directories among them.
  var nodes: UInt64
  /// Regular files, each once however many names it has.
  var files: UInt64
  /// Bytes of regular files, as their sizes tell.
  var bytes: UInt64
  /// Parts that could not be read.
  var unreadable_count: UInt64
  /// The first of them.
  var unreadable: [UnreadableReport]
  var representation_bytes: UInt64
  /// The representation's file, when one was asked for.
  var output: String?
  /// For how long nobody could write while it was frozen; absent where that is not known.
  var quiet_seconds: Double?
  /// Everything that reads of the image go to.
  var media: [Medium]

  init(_ frozen: FreezeResult) {
    image = frozen.name
    id = "\(frozen.id)"
    provider = frozen.provider
    snapshot = frozen.snapshot
    nodes = frozen.nodes
    files = frozen.files
    bytes = frozen.bytes
    unreadable_count = frozen.unreadable.count
    unreadable = frozen.unreadable.reports()
    representation_bytes = frozen.representationLength
    output = frozen.output?.string
    quiet_seconds = frozen.quietTime.map { Double($0 / 1_000_000) / 1000 }
    media = frozen.media.map(Medium.init)
  }

  /// The report for people.
  var text: String {
    let lines = media.map { medium in
      "medium \(medium.label == medium.path ? "" : "\(medium.label): ")\(medium.path)"
    }
    let quiet = quiet_seconds.map { ["writes stood still for \($0) s"] } ?? []
    return VisibleText.page(["\(image) \(id)"] + quiet + lines)
  }
}

/// Tells people how a freeze goes on.
struct FreezeWatcher {
  private var line = ProgressLine()

  mutating func take(_ event: FreezeEvent) {
    switch event {
    case .described(let nodes, let bytes): line.show(files: nodes, bytes: bytes)
    case .descriptionEnded: line.end()
    case .interrupted: printError("floe: interrupted; nothing was written")
    case .removing(let name):
      printError("floe: interrupted; removing what the freeze of “\(name)” made")
    case .removed(let name): printError("floe: nothing is left of “\(name)”")
    case .leftBehind(let reason, let remedy):
      printError(
        "floe: what the freeze made could not be removed (\(reason)); \(remedy) removes it")
    }
  }
}
