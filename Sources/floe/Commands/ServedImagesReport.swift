import FrozenImage
import HostSystem
import ImageAccess
import ImageService

/// The images that a service has, as a backup host sees them; the JSON form's keys are those of
/// the images of this host.
struct ServedImagesReport: Encodable {
  struct Row: Encodable {
    var name: String
    var id: String
    /// "frozen": a service tells of no others.
    var state = "frozen"
    var source: String
    var provider: String
    var created_seconds: Int64
    var representation_bytes: UInt64
  }

  let rows: [Row]

  func encode(to encoder: any Encoder) throws {
    try rows.encode(to: encoder)
  }

  /// Asks the service. Blocks.
  ///
  /// - Parameter text: a service's address, without an image.
  /// - Throws: `AddressError`, `ServiceError`.
  init(of text: String) throws {
    let (connection, _) = try ServiceConnection.connect(to: ServiceEndpoint(service: text))
    defer { connection.close() }
    let images = try connection.images()
    rows = images.sorted {
      ($0.created.seconds, $0.created.nanoseconds, $0.name)
        < ($1.created.seconds, $1.created.nanoseconds, $1.name)
    }.map {
      Row(
        name: $0.name, id: "\($0.id)", source: $0.source, provider: $0.provider,
        created_seconds: $0.created.seconds, representation_bytes: $0.representationLength)
    }
  }

  /// The report for people: the lines that `floe images` prints on the production host.
  var text: String {
    VisibleText.page(
      rows.map { row in
        "\(row.name)  \(row.id)  \(row.state)  \(TimeText.local(row.created_seconds))  "
          + "\(Images.sizeText(row.representation_bytes))  \(row.source)"
      })
  }
}
