import BlockMappers
import FrozenImage
import ImageReader
import VolumeLayers

/// The files and block devices through which this host's programs see, and may write,
/// the bytes of a stack: its media, and what the kernel shows above and below them.
struct StackViews {
  /// Those that lie on others first.
  private(set) var devices: [KernelDevice] = []
  /// Paths of files, by st_dev and st_ino.
  private(set) var files: [KernelDevice.Node: String] = [:]
  /// Devices that no other of these lies on, and none of another kind.
  private(set) var tops: [KernelDevice] = []

  /// Bytes of each node that belong to the stack.
  private var ranges: [KernelDevice.Node: [Range<UInt64>]] = [:]
  private let known: [KernelDevice]

  /// Parts of a medium, as many at most; of more the whole from the first to the last is
  /// taken.
  private static let maximumRanges = 4096

  /// The views of what was found.
  init(of found: FoundStack) {
    known = KernelDevice.all()
    for (medium, ranges) in found.stack.top.mediumRanges(limit: Self.maximumRanges) {
      add(medium.path, ranges)
    }
    // Of a logical volume that is active here, the device.
    for device in known {
      guard let volume = device.logicalVolume, found.pins.contains(volume) else { continue }
      add(.device(device.number), [0..<device.size])
    }
    arrange()
  }

  /// The views of a whole device or file.
  init(of path: String) {
    known = KernelDevice.all()
    let device = known.first { .device($0.number) == KernelDevice.Node(at: path) }
    add(path, [0..<(device?.size ?? .max)])
    arrange()
  }

  private mutating func add(_ path: String, _ ranges: [Range<UInt64>]) {
    guard let node = KernelDevice.Node(at: path) else { return }
    if case .file = node { files[node] = path }
    add(node, ranges)
  }

  /// Adds what a node shows, and what is shown of that elsewhere.
  private mutating func add(_ node: KernelDevice.Node, _ added: [Range<UInt64>]) {
    let before = ranges[node] ?? []
    let all = Self.union(before + added.filter { !$0.isEmpty })
    guard all != before else { return }
    ranges[node] = all
    for device in known {
      let own = KernelDevice.Node.device(device.number)
      if own == node {
        for part in device.below { add(part.node, all.map { $0.shifted(up: part.start) }) }
        continue
      }
      for part in device.below where part.node == node {
        let shown = part.start..<part.start.addingClamped(device.size)
        add(own, all.map { $0.clamped(to: shown).shifted(down: part.start) })
      }
      // Any byte of it may be any of the device's. Logical volumes are known exactly.
      if device.madeOf.contains(node), device.logicalVolume == nil {
        add(own, [0..<device.size])
      }
    }
  }

  private mutating func arrange() {
    let found = known.filter { ranges[.device($0.number)] != nil }
    devices = found.sorted { height($0) > height($1) }
    tops = found.filter { device in
      let own = KernelDevice.Node.device(device.number)
      return !known.contains { above in
        above.madeOf.contains(own) || above.below.contains { $0.node == own }
      }
    }
    for device in found {
      for part in device.below where files[part.node] == nil {
        guard case .file = part.node, let backing = try? LoopDevice.backing(ofDevice: device.path)
        else { continue }
        files[part.node] = backing.path
      }
    }
  }

  /// How many layers lie below a device.
  private func height(_ device: KernelDevice, depth: Int = 0) -> Int {
    guard depth < 16 else { return depth }
    let below = device.below.map(\.node) + device.madeOf
    let heights = known.filter { below.contains(.device($0.number)) }.map {
      height($0, depth: depth + 1) + 1
    }
    return heights.max() ?? 0
  }

  /// In ascending order, without overlap.
  private static func union(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
    var joined: [Range<UInt64>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = joined.last, range.lowerBound <= last.upperBound {
        joined[joined.count - 1] =
          last.lowerBound..<max(last.upperBound, range.upperBound)
      } else {
        joined.append(range)
      }
    }
    return joined
  }
}

extension KernelDevice {
  /// The group and the logical volume that it shows, as `FoundStack.pins` has them; `nil`
  /// when it is none.
  var logicalVolume: String? {
    // As `StackDevice.logicalVolume`; internal volumes have a suffix.
    guard let name = mapName, name.hasPrefix("LVM-") else { return nil }
    guard name.utf8.count == 68, let group = VolumeIdentifier(name.utf8.dropFirst(4).prefix(32)),
      let volume = VolumeIdentifier(name.utf8.suffix(32))
    else { return name }
    return "\(group) \(volume)"
  }
}

extension Range<UInt64> {
  fileprivate func shifted(up count: UInt64) -> Range<UInt64> {
    let start = lowerBound.addingClamped(count)
    return start..<Swift.max(start, upperBound.addingClamped(count))
  }

  fileprivate func shifted(down count: UInt64) -> Range<UInt64> {
    isEmpty ? 0..<0 : lowerBound - count..<upperBound - count
  }
}

extension UInt64 {
  fileprivate func addingClamped(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}

extension Layer {
  /// The parts of media that the layer lies on.
  ///
  /// - Parameter limit: ranges of a medium above which the whole between its first and its
  ///   last byte is given.
  fileprivate func mediumRanges(limit: Int) -> [(medium: any Medium, ranges: [Range<UInt64>])] {
    var found: [(medium: any Medium, ranges: [Range<UInt64>])] = []
    collect(0..<size, limit: limit, into: &found)
    return found
  }

  private func collect(
    _ range: Range<UInt64>, limit: Int,
    into found: inout [(medium: any Medium, ranges: [Range<UInt64>])]
  ) {
    guard !range.isEmpty else { return }
    switch substance {
    case .medium(let medium):
      guard let index = found.firstIndex(where: { $0.medium.path == medium.path }) else {
        found.append((medium, [range]))
        return
      }
      found[index].ranges.append(range)
      if found[index].ranges.count > limit {
        let first = found[index].ranges.map(\.lowerBound).min() ?? 0
        let last = found[index].ranges.map(\.upperBound).max() ?? 0
        found[index].ranges = [first..<last]
      }
    case .mapped(let map):
      // Who writes below such a layer writes what it does not show: a snapshot's origin.
      if map.live != nil { return }
      // What is decoded lies all over the layers below.
      if map.decoder != nil {
        for layer in map.lower { layer.collect(0..<layer.size, limit: limit, into: &found) }
        return
      }
      for run in map.runs(in: range) {
        guard case .below(let placement) = run.content else { continue }
        let isWhole = placement.columns > 1
        let part = isWhole ? run.range : run.range.clamped(to: range)
        for (index, target) in placement.targets.enumerated() {
          let start = target.offset + (part.lowerBound - run.range.lowerBound)
          let length = placement.length(
            ofColumn: index / placement.copies, of: part.upperBound - part.lowerBound)
          map.lower[target.layer].collect(start..<start + length, limit: limit, into: &found)
        }
      }
    }
  }
}
