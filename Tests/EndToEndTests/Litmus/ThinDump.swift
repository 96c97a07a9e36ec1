import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// What thin_dump, of thin-provisioning-tools, reads in a pool's metadata: another reader of
/// the same bytes.
struct ThinDump {
  /// Of each of a volume's chunks, where it lies in the pool.
  let places: [UInt64: UInt64]

  /// - Parameters:
  ///   - path: a file with the metadata of a pool that is not in use.
  ///   - device: the volume's number in the pool.
  init(_ path: String, device: Int) throws {
    var places: [UInt64: UInt64] = [:]
    var isOurs = false
    for line in try run("thin_dump", [path]).split(separator: "\n") {
      if line.contains("<device ") { isOurs = line.contains("dev_id=\"\(device)\"") }
      guard isOurs, line.contains("_mapping ") else { continue }
      func number(_ name: String) -> UInt64? {
        line.firstRange(of: " \(name)=\"").flatMap {
          UInt64(line[$0.upperBound...].prefix { $0 != "\"" })
        }
      }
      guard let chunk = number("origin_block") ?? number("origin_begin"),
        let place = number("data_block") ?? number("data_begin")
      else { throw HarnessError("thin_dump: \(line)") }
      for index in 0..<(number("length") ?? 1) { places[chunk + index] = place + index }
    }
    self.places = places
  }

  /// Compares it with what floe reads in the same metadata.
  func expectSame(as medium: ReplayedMedium, size: Int, device: UInt64) throws {
    let metadata = ThinMetadata(on: try medium.part("metadata", 0..<size), title: "pool")
    let entry = try #require(try metadata.entry(of: device, in: metadata.superblock()))
    var own: [UInt64: UInt64] = [:]
    for run in try metadata.runs(of: entry) {
      for (index, chunk) in run.chunks.enumerated() { own[chunk] = run.place + UInt64(index) }
    }
    #expect(own == places && own.count > 100, "\(own.count) and \(places.count) chunks")
  }
}
