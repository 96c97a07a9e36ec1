/// Parts of metadata text, as lvm2 writes them.
enum VolumeText {
  /// One logical volume.
  static func volume(
    _ name: String, isVisible: Bool = true, status: [String] = ["READ", "WRITE"],
    _ segments: [String]
  ) -> String {
    let status = (status + (isVisible ? ["VISIBLE"] : [])).map { "\"\($0)\"" }
    // Any identifier will do that is no other volume's.
    let number = name.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) } % 900_000 + 100_000
    return """
      \(name) {
        id = "\(number)-aaaa-bbbb-cccc-dddd-eeee-ffffff"
        status = [\(status.joined(separator: ", "))]
        flags = []
        creation_time = 1700000000
        creation_host = "here"
        segment_count = \(segments.count)
        \(segments.joined())
      }

      """
  }

  static func volume(
    _ name: String, isVisible: Bool = true, status: [String] = ["READ", "WRITE"],
    _ segment: String
  ) -> String {
    volume(name, isVisible: isVisible, status: status, [segment])
  }

  /// Linear segments of so many extents each, at "volume extent".
  static func segments(_ type: String, _ places: [String], extents: Int) -> [String] {
    places.enumerated().map { index, place in
      let words = place.split(separator: " ")
      return segment(
        type, index + 1, extents: index * extents..<(index + 1) * extents,
        "stripe_count = 1\nstripes = [\"\(words[0])\", \(words[1])]")
    }
  }

  /// One segment with whatever its type has.
  static func segment(
    _ type: String, _ number: Int = 1, extents: Range<Int>, _ body: String
  ) -> String {
    """
    segment\(number) {
      start_extent = \(extents.lowerBound)
      extent_count = \(extents.count)
      type = "\(type)"
      \(body)
    }

    """
  }
}
