import BlockMappers
import DataSets
import FrozenImage
import ImageReader
import VolumeLayers

/// Finds the stack of an image again on media that somebody else has opened, and on those
/// that its volume groups have taken in since.
///
/// `StackFinder` begins at what this host's kernel shows. This one looks at nothing of this
/// host but the media that it is given, since it may be another host than the one that froze
/// the image: what its kernel makes of the same volume group, or of a clone of it, says nothing.
struct StorageFinder: Sendable {
  private let trail: StackTrail
  /// The media of the image that are open now.
  private let media: @Sendable () -> [any Medium]
  /// Gives the medium that a volume group names beside those; `nil` when it is not there, or
  /// may not be taken.
  private let take: @Sendable (MediumDescription) -> (any Medium)?
  /// Why `take` gave none.
  private let refusal: @Sendable (MediumID) -> String?

  /// Times that a group may name more members in the text of a member that was just found.
  private static let rounds = 4
  /// Most members of a group that are looked for, each among all devices.
  private static let mostSought = 64

  init(
    _ trail: StackTrail, media: @escaping @Sendable () -> [any Medium],
    take: @escaping @Sendable (MediumDescription) -> (any Medium)?,
    refusal: @escaping @Sendable (MediumID) -> String? = { _ in nil }
  ) {
    self.trail = trail
    self.media = media
    self.take = take
    self.refusal = refusal
  }

  /// - Throws: `StackError`; `isGone` where the media show that the image is no more.
  func find() throws(StackError) -> FoundStack {
    let disks = media().map { Layer($0) }
    var layer: Layer?
    var liesOnRaid = false
    // Physical volumes and members of arrays are known by themselves, wherever they lie.
    let start =
      trail.pins.firstIndex { VolumePin($0) != nil } ?? trail.pins.firstIndex {
        Self.array($0) != nil
      }
      ?? 0
    for pin in trail.pins[start...] {
      if let volume = VolumePin(pin) {
        let (mapped, isRaid) = try logicalVolume(volume, on: layer, disks)
        layer = mapped
        liesOnRaid = liesOnRaid || isRaid
      } else if let array = Self.array(pin) {
        layer = try MediaContents(of: layer.map { [$0] } ?? disks).layer(ofArray: array)
      } else {
        layer = try partition(pin, of: base(layer, disks))
      }
    }
    let top = try base(layer, disks)
    let found = try StackFinder(trail.image.place, frozen: trail.image).top(top)
    var named = FoundStack(
      found.stack, content: found.content, pins: trail.pins, notes: found.notes)
    named.liesOnRaid = liesOnRaid
    return named
  }

  /// What the next step goes up from.
  private func base(_ layer: Layer?, _ disks: [Layer]) throws(StackError) -> Layer {
    if let layer { return layer }
    guard disks.count == 1, let disk = disks.first else {
      throw StackError(.medium, "\(trail.title) lies on one medium, and \(disks.count) are open")
    }
    return disk
  }

  private func partition(_ uuid: String, of disk: Layer) throws(StackError) -> Layer {
    guard let table = try PartitionTable.find(on: disk) else {
      throw StackError(.notFound, "\(disk.title) has no partition table")
    }
    let matches = table.partitions.filter { !$0.isExtended && $0.uuid == uuid }
    guard matches.count == 1, let part = matches.first else {
      throw StackError(
        .notFound, "\(disk.title) has \(matches.count) partitions with the identifier \(uuid)")
    }
    return Layer(try table.map(part))
  }

  /// The UUID of the md array that a step up is to.
  private static func array(_ pin: String) -> String? {
    pin.hasPrefix("md ") ? String(pin.dropFirst(3)) : nil
  }

  // MARK: Logical volumes

  /// Whether a step up is to a logical volume.
  static func isVolume(_ pin: String) -> Bool { VolumePin(pin) != nil }

  /// A logical volume by its group's identifier and its own.
  private struct VolumePin {
    let group: String
    let volume: String

    init?(_ pin: String) {
      let parts = pin.split(separator: " ").map(String.init)
      // 32 characters and six hyphens.
      guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 38 }) else { return nil }
      group = parts[0]
      volume = parts[1]
    }
  }

  /// - Returns: the volume, and whether it lies on a raid.
  private func logicalVolume(
    _ pin: VolumePin, on layer: Layer?, _ disks: [Layer]
  ) throws(StackError) -> (Layer, Bool) {
    var disks = (layer.map { [$0] } ?? []) + disks
    for _ in 0..<Self.rounds {
      let contents = try MediaContents(of: disks)
      let groups = FoundVolumeGroup.groups(of: contents.volumes, hasArchive: false)
      guard let found = groups.first(where: { "\($0.group.id)" == pin.group }) else {
        if let problem = contents.problems.first { throw problem }
        throw StackError(
          .notFound, "none of the media has a text of the volume group of the \(trail.title)")
      }
      let missing = found.missing
      let before = disks.count
      for description in missing.prefix(Self.mostSought) where trail.mayTakeMembers {
        guard let medium = take(description), !disks.contains(where: { $0.isMedium(medium) })
        else { continue }
        disks.append(Layer(medium))
      }
      if disks.count > before { continue }
      try checkAge(of: found)
      guard let volume = found.group.logicalVolumes.first(where: { "\($0.id)" == pin.volume })
      else {
        // The text of a member that is not there may be newer.
        guard missing.isEmpty else {
          if let problem = contents.problems.first { throw problem }
          throw StackError(
            .medium,
            "physical volumes of the volume group \(found.group.name) are missing, so nothing shows "
              + "what became of the \(trail.title)\(refusals(of: missing))")
        }
        throw .gone("the \(trail.title) that was frozen was removed from its group")
      }
      do throws(StackError) {
        return (Layer(try found.map(volume)), found.liesOnRaid(volume))
      } catch  where !error.isGone && !missing.isEmpty {
        if let problem = contents.problems.first { throw problem }
        throw StackError(error.code, "\(error)\(refusals(of: missing))")
      }
    }
    throw StackError(.inUse, "the volume group of the \(trail.title) keeps changing")
  }

  /// One device of the group may show a later moment than another: a commit is running, or one
  /// is a clone or a replica that stayed behind. What they tell together never was.
  private func checkAge(of found: FoundVolumeGroup) throws(StackError) {
    guard let member = found.behind.first else { return }
    throw StackError(
      .unreachable,
      "the LVM2 metadata on \(member.layer.title) are older than elsewhere in the volume group "
        + "\(found.group.name), so this host's devices do not tell where it lies; unless a commit "
        + "is running, it is a copy that stayed behind, or a device that the group lost")
  }

  /// Why members that are missing were not taken, for the end of a sentence.
  private func refusals(of missing: [MediumDescription]) -> String {
    guard trail.mayTakeMembers else {
      return "; no disk is taken that only a volume group inside a file or a logical volume names"
    }
    if let reason = missing.lazy.compactMap({ refusal($0.id) }).first { return "; \(reason)" }
    return missing.count > Self.mostSought ? "; only \(Self.mostSought) were looked for" : ""
  }
}

extension Layer {
  fileprivate func isMedium(_ other: any Medium) -> Bool {
    guard case .medium(let own) = substance else { return false }
    return own as AnyObject === other as AnyObject
  }
}
