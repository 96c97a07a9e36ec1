import FrozenImage
import HostSystem
import ImageAccess
import LogicalRepresentation

/// What `floe inspect` tells of an image.
struct InspectReport: Encodable {
  struct Medium: Encodable {
    var id: String
    var label: String
    var size: UInt64
    /// Where the production host has it.
    var path: String
    var hardware_id: String
    /// Where the witness lies: bytes from the start of the medium, and the fragments.
    var witness: String
  }

  struct Store: Encodable {
    var id: UInt32
    var kind: String
    var label: String
    var extents: Int
    var bytes: UInt64
  }

  var image: String
  var id: String
  var provider: String
  var host: String
  var source: String
  var created_seconds: Int64
  var nodes: UInt64
  /// Parts that could not be read when the image was frozen.
  var unreadable_count: UInt64
  /// The first of them.
  var unreadable: [UnreadableReport]
  var volume: String
  var configuration_id: String
  /// What proves that a place still held when it was read: "witness" (on the media) or
  /// "question" (only the production host).
  var validation: String
  var data_checksums: String
  var media: [Medium]
  var stores: [Store]

  init(_ representation: Representation, _ volume: VolumeDescription) {
    let description = representation.image
    image = description.name
    id = description.id.description
    provider = description.provider
    host = description.host
    source = description.source
    created_seconds = description.created.seconds
    nodes = representation.nodeCount
    let list = UnreadableList(of: representation)
    unreadable_count = list.count
    unreadable = list.reports()
    self.volume = volume.label.isEmpty ? "\(volume.id)" : "\(volume.label) \(volume.id)"
    configuration_id = volume.state.configurationID.reportText
    validation =
      switch volume.validation {
      case .witness: "witness"
      case .question: "question"
      }
    data_checksums = volume.checksum.map { "\($0)" } ?? "none"
    media = volume.media.map { medium in
      Medium(
        id: medium.id.description, label: medium.label, size: medium.size, path: medium.path,
        hardware_id: medium.hardwareID,
        witness: medium.witness.map { probe in
          probe.windows.map { window in
            "\(window.offset): "
              + window.fragments.map { "\($0.offset)+\($0.length)" }.joined(separator: ", ")
          }.joined(separator: "; ")
        } ?? "none")
    }
    stores = volume.map.stores.sorted { $0.key < $1.key }.map { id, store in
      let extents = volume.map.extents[id] ?? []
      let (kind, label) =
        switch store {
        case .logical(let label): ("logical", label)
        case .physical(let medium):
          ("physical", volume.media.first { $0.id == medium }?.label ?? "\(medium)")
        }
      return Store(
        id: id.rawValue, kind: kind, label: label, extents: extents.count,
        bytes: extents.reduce(0) { $0 + $1.length })
    }
  }

  /// The report for people.
  var text: String {
    var lines = [
      "image             \(image) (\(id))",
      "frozen from       \(source) on \(host), \(nodes) nodes",
      "volume            \(provider) \(volume), data checksums: \(data_checksums)",
      "configuration ID  \(abbreviated(configurationID: configuration_id))",
      "validation        "
        + (validation == "witness"
          ? "by the witness on the media" : "by the production host, asked at every read"),
    ]
    for medium in media {
      lines.append(
        "medium            \(medium.label) (\(medium.id)), \(medium.size) bytes, "
          + "\(medium.path) on the production host, witness at \(medium.witness)")
    }
    for store in stores {
      lines.append(
        "store \(store.id)           \(store.kind) \(store.label)"
          + (store.kind == "logical" ? ", \(store.extents) extents, \(store.bytes) bytes" : ""))
    }
    if unreadable_count > 0 {
      lines.append("unreadable        \(unreadable_count)")
      lines += unreadable.prefix(UnreadableList.shownLines).map { "  \($0.text)" }
    }
    return VisibleText.page(lines)
  }
}

/// What `floe inspect` tells of a file: its chain, extent by extent, as the
/// representation has it.
struct ChainReport: Encodable {
  struct Copy: Encodable {
    var medium: String
    var offset: UInt64
  }

  struct Run: Encodable {
    var offset: UInt64
    var length: UInt64
    /// "stored", "compressed" (then the places are those of the whole compressed run, from
    /// its first stored byte), "unwritten", "inline", "encoded" or "unreadable".
    var kind: String
    /// Where the run begins in the volume's address space.
    var store_offset: UInt64?
    var copies: [Copy]
  }

  var path: String
  var inode: UInt64
  var size: UInt64
  var type: String
  var runs: [Run]

  init(
    path: String, node: NodeIndex, _ representation: Representation, _ volume: VolumeDescription
  ) throws {
    let attributes = try representation.attributes(of: node)
    self.path = path
    inode = attributes.inode
    size = attributes.size
    type =
      switch attributes.type {
      case .regular: "file"
      case .directory: "directory"
      case .symbolicLink: "symbolic link"
      case .blockDevice: "block device"
      case .characterDevice: "character device"
      case .fifo: "FIFO"
      case .socket: "socket"
      }
    guard attributes.type == .regular else {
      runs = []
      return
    }
    runs = try representation.extents(of: node, in: 0..<UInt64.max).flatMap { extent in
      try Self.runs(of: extent, volume)
    }
  }

  private static func runs(of extent: FileExtent, _ volume: VolumeDescription) throws -> [Run] {
    func run(_ kind: String) -> [Run] {
      [
        Run(
          offset: extent.offset, length: extent.length, kind: kind, store_offset: nil, copies: [])
      ]
    }
    switch extent.source {
    case .unwritten: return run("unwritten")
    case .inline: return run("inline")
    case .encoded: return run("encoded")
    case .unreadable: return run("unreadable")
    case .compressed(let compressed):
      let stored = UInt64(compressed.storedLength)
      let first = try volume.map.resolve(compressed.address, length: stored).first
      return [
        Run(
          offset: extent.offset, length: extent.length, kind: "compressed",
          store_offset: compressed.address.offset, copies: copies(first?.copies ?? [], volume))
      ]
    case .stored(let address):
      return try volume.map.resolve(address, length: extent.length).map { piece in
        Run(
          offset: extent.offset + piece.position, length: piece.length, kind: "stored",
          store_offset: address.offset + piece.position, copies: copies(piece.copies, volume))
      }
    }
  }

  private static func copies(
    _ places: [MediumAddress], _ volume: VolumeDescription
  ) -> [Copy] {
    places.map { place in
      Copy(
        medium: volume.media.first { $0.id == place.medium }?.label ?? "\(place.medium)",
        offset: place.offset)
    }
  }

  /// The report for people.
  var text: String {
    var lines = ["\(path): \(type), inode \(inode), \(size) bytes"]
    for run in runs {
      let places = run.copies.map { "\($0.medium) at \($0.offset)" }.joined(separator: " = ")
      lines.append(
        "  \(run.offset)+\(run.length)  \(run.kind)"
          + (run.store_offset.map { "  volume at \($0)" } ?? "")
          + (places.isEmpty ? "" : "  \(places)"))
    }
    return VisibleText.page(lines)
  }
}
