/// The logical volumes as `lvs` and `pvs` report them, and what they hold by that: the
/// oracle.
struct ReportedVolumes {
  private struct Segment {
    let stripes: Int
    let stripeSize: Int
    /// Volume, first extent, last extent.
    let places: [(volume: String, first: Int, last: Int)]
  }

  private var segments: [String: [Segment]] = [:]
  private var disks: [String: [UInt8]] = [:]
  /// Bytes from the start of a disk to its first extent.
  private var starts: [String: Int] = [:]

  init(_ disks: LVMDisks) throws {
    let columns = "lv_name,stripes,stripe_size,seg_pe_ranges"
    for line in try disks.lvm(
      "lvs -a --noheadings --separator ^ --units b --nosuffix --sort lv_name,seg_start_pe "
        + "-o \(columns) vg"
    ).split(separator: "\n") {
      let fields = line.split(separator: "^", omittingEmptySubsequences: false).map {
        String($0).words.joined(separator: " ")
      }
      let places = fields[3].words.map { range in
        let parts = range.split { ":-".contains($0) }
        return (volume: String(parts[0]), first: Int(parts[1]) ?? -1, last: Int(parts[2]) ?? -1)
      }
      let name = fields[0].filter { !"[]".contains($0) }
      segments[name, default: []].append(
        Segment(
          stripes: Int(fields[1]) ?? -1, stripeSize: Int(fields[2]) ?? -1, places: places))
    }
    for line in try disks.lvm(
      "pvs --noheadings --units b --nosuffix -o pv_name,pe_start"
    ).split(separator: "\n") {
      let fields = String(line).words
      starts[fields[0]] = Int(fields[1])
    }
    for (device, image) in zip(disks.devices, disks.images) {
      self.disks[device] = try contents(of: Array(image.utf8))
    }
  }

  func segmentCount(_ name: String) -> Int { segments[name]?.count ?? 0 }

  /// The bytes of a volume, each taken from where the report says it lies.
  func bytes(of name: String) throws -> [UInt8] {
    guard let segments = segments[name] else {
      throw CommandError(description: "lvs reports no \(name)")
    }
    var bytes: [UInt8] = []
    for segment in segments {
      var columns: [ArraySlice<UInt8>] = []
      for place in segment.places {
        let extents =
          place.first * LVMDisks.extentSize..<(place.last + 1) * LVMDisks.extentSize
        if let disk = disks[place.volume], let start = starts[place.volume] {
          columns.append(disk[start + extents.lowerBound..<start + extents.upperBound])
        } else {
          columns.append(try self.bytes(of: place.volume)[extents])
        }
      }
      guard columns.count == segment.stripes else {
        throw CommandError(description: "lvs reports \(columns.count) places of \(name)")
      }
      if columns.count == 1 { bytes += columns[0] }
      while columns.count > 1, !columns[0].isEmpty {
        for index in columns.indices {
          bytes += columns[index].prefix(segment.stripeSize)
          columns[index] = columns[index].dropFirst(segment.stripeSize)
        }
      }
    }
    return bytes
  }
}

extension String {
  fileprivate var words: [String] { split(separator: " ").map(String.init) }
}
