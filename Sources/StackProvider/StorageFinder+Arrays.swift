import BlockMappers
import DataSets
import FrozenImage
import VolumeLayers

/// What lies on the media that are open: physical volumes, and members of md arrays.
struct MediaContents {
  /// Physical volumes on the disks, on their partitions, or on the arrays that these make.
  private(set) var volumes: [PhysicalVolume] = []
  /// Members of md arrays, by the UUIDs of these.
  private var members: [String: [MDMember]] = [:]
  /// In the order in which they were met.
  private var arrays: [String] = []
  /// Why an array that was met cannot be read.
  private(set) var problems: [StackError] = []

  /// Arrays that lie on arrays.
  private static let depth = 4

  /// - Throws: `StackError` when what a disk holds makes no sense.
  init(of disks: [Layer]) throws(StackError) {
    var layers = disks
    for _ in 0..<Self.depth {
      let known = members.mapValues(\.count)
      for layer in layers { try add(layer) }
      layers = []
      for array in arrays where members[array]?.count != known[array] {
        do throws(StackError) {
          layers.append(try layer(ofArray: array))
        } catch {
          problems.append(error)
        }
      }
      if layers.isEmpty { return }
    }
  }

  /// An array that the media have members of.
  ///
  /// - Throws: `StackError` when they have none, or nothing proves where the data are.
  func layer(ofArray uuid: String) throws(StackError) -> Layer {
    guard let array = try MDArray(members[uuid] ?? []) else {
      throw StackError(.notFound, "none of the media is a member of the md array \(uuid)")
    }
    return Layer(try array.map())
  }

  /// Adds what is on a disk: on all of it, or on its partitions.
  private mutating func add(_ disk: Layer) throws(StackError) {
    do {
      if try add(whole: disk) { return }
    } catch {
      // One that cannot be read may not be needed any more.
      guard error.code == .medium else { throw error }
      return
    }
    guard let table = try PartitionTable.find(on: disk) else { return }
    for part in table.partitions where !part.isExtended {
      // Other partitions are somebody else's.
      guard let map = try? table.map(part) else { continue }
      _ = try? add(whole: Layer(map))
    }
  }

  /// - Returns: `false` where it is a disk with partitions.
  private mutating func add(whole layer: Layer) throws(StackError) -> Bool {
    let isPartitioned = try BootRecords.isPartitioned(layer)
    // A member of an array may begin as the array does, with a label of LVM2: a leg that is
    // out of date would be read for the array.
    if let member = try MDMember.find(on: layer),
      !(member.mayBelongToAPartition && isPartitioned)
    {
      if members[member.array] == nil { arrays.append(member.array) }
      members[member.array, default: []].append(member)
      return true
    }
    if isPartitioned { return false }
    if let volume = try PhysicalVolume.find(on: layer) { volumes.append(volume) }
    return true
  }
}
