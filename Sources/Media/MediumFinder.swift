public import FrozenImage
public import HostSystem
import ImageReader

/// Finds the media of an image on this host: by the paths that the user named, by
/// looking at every block device and, where that is allowed, in a file at the path that
/// the production host had.
///
/// Reading the wrong LUN is the worst failure of all, so a medium is taken only
/// when its identity matches, and two that match are refused until the user names
/// one. A clone carries the same identity, so a device whose hardware identifier is
/// another one than the recorded is refused too, unless the user named it. And a
/// description may be an attacker's, so what it says is taken within limits
/// (`MediumTrust`).
public struct MediumFinder: Sendable {
  /// Paths that the user named, by the medium's identifier or label.
  public let named: [String: String]

  private let trust: MediumTrust

  let sysfs: Sysfs

  /// Told of every medium that is taken, and how.
  private let onTaken: @Sendable (MediumDescription, OpenMedium, MediumOrigin) -> Void

  /// - Parameters:
  ///   - named: paths, by a medium's identifier or label.
  ///   - trust: within which limits a medium is taken that has no name there.
  ///   - onTaken: told of every medium that is taken, where it was found, and why.
  public init(
    named: [String: String], trust: MediumTrust = MediumTrust(), sysfs: Sysfs = Sysfs(),
    onTaken: @escaping @Sendable (MediumDescription, OpenMedium, MediumOrigin) -> Void = {
      _, _, _ in
    }
  ) {
    self.named = named
    self.trust = trust
    self.sysfs = sysfs
    self.onTaken = onTaken
  }

  /// Refuses names that no medium of the image has.
  public func checkNames(against media: [MediumDescription]) throws(Failure) {
    for name in named.keys.sorted() where !media.contains(where: { $0.isNamed(name) }) {
      throw .unknownName(name, known: media.map { "\($0.label) (\($0.id))" })
    }
  }

  /// Opens the medium of a description.
  ///
  /// - Parameter witness: `nil` at the mount: the medium that the user named is taken
  ///   or refused, and without a name exactly one must match. Later, when a medium
  ///   was lost, the witness bytes that it should show now: a device may have been
  ///   replaced, so whichever shows them is taken, and only without one the rules of
  ///   the mount hold.
  public func find(
    _ description: MediumDescription, witness: [UInt8]?
  ) throws(Failure) -> OpenMedium {
    let (medium, origin) = try findWithOrigin(description, witness: witness)
    onTaken(description, medium, origin)
    return medium
  }

  /// The same, told to nobody but the caller.
  package func findWithOrigin(
    _ description: MediumDescription, witness: [UInt8]? = nil
  ) throws(Failure) -> (OpenMedium, MediumOrigin) {
    let found = try choose(description, witness: witness)
    return found.isNamed ? (found.medium, .named) : try admit(found.medium, as: description)
  }

  /// Opens a medium of which nobody wrote more than its identifier, as the metadata on other
  /// media name it: only what the user named, or the one device of all that has it. Nothing
  /// would tell a clone from it.
  public func findSole(_ description: MediumDescription) throws(Failure) -> OpenMedium {
    if let named = try findNamed(description) {
      onTaken(description, named, .named)
      return named
    }
    let matches = matches(description)
    guard matches.media.count <= 1 else {
      throw .ambiguous(label: description.label, paths: matches.media.map(\.path).sorted())
    }
    guard let found = matches.media.first, matches.silent.isEmpty else {
      throw .notFound(
        label: description.label, id: description.id, silent: matches.silent, left: matches.left)
    }
    let (medium, origin) = try admit(found, as: description, mayBeUsed: false)
    onTaken(description, medium, origin)
    return medium
  }

  /// The paths of all devices that carry a medium's identity, whether or not one would be taken.
  package func paths(showing description: MediumDescription) -> [String] {
    let matches = matches(description)
    let named = (try? findNamed(description)).map { [$0] } ?? []
    return (named + matches.media + matches.refused.map(\.medium)).map(\.path)
  }

  /// A medium that has the right bytes.
  private struct Choice {
    let medium: OpenMedium
    let isNamed: Bool
  }

  private func choose(
    _ description: MediumDescription, witness: [UInt8]?
  ) throws(Failure) -> Choice {
    guard let witness, let probe = description.witness else { return try choose(description) }
    let matches = matches(description)
    let candidates =
      matches.isProven || matches.refused.isEmpty ? candidates(matches, description) : []
    var choices = candidates.map { Choice(medium: $0, isNamed: false) }
    if let named = try? findNamed(description) {
      choices.append(Choice(medium: named, isNamed: true))
    }
    let inStep = choices.filter { (try? $0.medium.extract(probe)) == witness }
    guard inStep.count == 1, let choice = inStep.first else { return try choose(description) }
    return choice
  }

  private func choose(_ description: MediumDescription) throws(Failure) -> Choice {
    if let named = try findNamed(description) { return Choice(medium: named, isNamed: true) }
    let matches = matches(description)
    let candidates = candidates(matches, description)
    guard candidates.count <= 1 else {
      throw .ambiguous(label: description.label, paths: candidates.map(\.path).sorted())
    }
    // What is refused carries the same bytes. Another that cannot be compared may be it in
    // disguise (a loop device, a map), and only the right hardware proves that it is not.
    if let (medium, hardware) = matches.refused.first, !matches.isProven {
      throw .otherHardware(
        label: description.label, path: medium.path, found: hardware,
        recorded: description.hardwareID)
    }
    if let medium = candidates.first { return Choice(medium: medium, isNamed: false) }
    throw .notFound(
      label: description.label, id: description.id, silent: matches.silent, left: matches.left)
  }

  /// What may be the medium: the devices that match, and the file that was frozen, which
  /// may be on this very host. A loop device that shows that file is no other candidate.
  private func candidates(
    _ matches: Matches, _ description: MediumDescription
  ) -> [OpenMedium] {
    guard description.hardwareID.isEmpty, trust.followsPaths || trust.isOwnHost(),
      let file = try? OpenMedium(path: description.path, isShared: true),
      file.deviceNumber == nil, (try? file.verifyIdentity(of: description)) != nil,
      trust.allows(file)
    else { return matches.media }
    return [file] + matches.media.filter { !$0.isLoopDevice(over: file) }
  }

  /// Decides whether what has the right bytes is taken although nobody named it, and opens
  /// it with the rights of whoever wrote the description.
  ///
  /// - Parameter mayBeUsed: whether it may be in use, where this host is the production host.
  private func admit(
    _ candidate: OpenMedium, as description: MediumDescription, mayBeUsed: Bool = true
  ) throws(Failure) -> (OpenMedium, MediumOrigin) {
    let (label, id, path) = (description.label, description.id, candidate.path)
    var medium = candidate
    if let owner = trust.owner, !owner.isTrusted {
      do throws(MediumError) {
        medium = try OpenMedium(path: path, as: owner, isShared: true)
        try medium.verifyIdentity(of: description)
      } catch {
        throw .ownerMayNotRead(label: label, id: id, path: path, owner, reason: error.reason)
      }
    }
    let hardware = medium.deviceNumber.flatMap { sysfs.hardwareID(of: $0) }
    let origin: MediumOrigin
    if let hardware, let recorded = HardwareID(description.hardwareID), hardware.proves(recorded) {
      origin = .hardware(hardware.description)
    } else if let identifier = medium.identifier(in: description) {
      origin = .identifier(identifier)
    } else if path == description.path, trust.isOfThisHost || trust.isOwnHost() {
      origin = .ownHost
    } else {
      throw .unidentified(label: label, id: id, path: path)
    }
    if !(mayBeUsed && trust.isOwnHost()), medium.isUsed(amongst: sysfs.blockDevices()) {
      throw .usedByThisHost(label: label, id: id, path: path)
    }
    return (medium, origin)
  }

  /// The medium that the user named; `nil` when none was named.
  private func findNamed(_ description: MediumDescription) throws(Failure) -> OpenMedium? {
    guard let path = named.first(where: { description.isNamed($0.key) })?.value else { return nil }
    do throws(MediumError) {
      let medium = try OpenMedium(path: path, isShared: true)
      try medium.verifyIdentity(of: description)
      return medium
    } catch {
      throw .wrongMedium(label: description.label, error)
    }
  }

  /// What carries the identity and is no other hardware, the named one excepted: block
  /// devices, each once.
  private func matches(_ description: MediumDescription) -> Matches {
    let named = try? findNamed(description)
    var found = Matches()
    var paths = Matches()
    var silent: [String] = []
    var left: [String] = []
    for path in sysfs.blockDevices() {
      guard DeviceProbe.answers(path) else {
        silent.append(path)
        continue
      }
      guard let medium = try? OpenMedium(path: path, isShared: true),
        let number = medium.deviceNumber,
        (try? medium.verifyIdentity(of: description)) != nil, number != named?.deviceNumber
      else { continue }
      guard trust.allows(medium) else {
        left.append(path)
        continue
      }
      let hardware = sysfs.hardwareID(of: number)
      if sysfs.multipathMap(over: number) == nil {
        found.add(medium, hardware, as: description)
      } else {
        paths.add(medium, hardware, as: description)
      }
    }
    // A multipath map stands for its paths.
    var all = found.media.isEmpty ? found.joined(with: paths) : found.refusing(paths.refused)
    all.silent = silent
    all.left = left
    return all
  }
}

/// Block devices that carry the identity of a medium.
private struct Matches {
  /// Those whose hardware is the recorded one.
  private var proven: [OpenMedium] = []
  /// Those whose hardware cannot be compared.
  private var possible: [OpenMedium] = []
  /// Those whose hardware is another one.
  private(set) var refused: [(medium: OpenMedium, hardware: HardwareID)] = []
  /// Those that did not answer.
  var silent: [String] = []
  /// Those that no limit allows.
  var left: [String] = []

  var media: [OpenMedium] { proven.isEmpty ? possible : proven }

  var isProven: Bool { !proven.isEmpty }

  /// With others that are refused as well.
  func refusing(_ others: [(medium: OpenMedium, hardware: HardwareID)]) -> Matches {
    var matches = self
    matches.refused += others
    return matches
  }

  func joined(with other: Matches) -> Matches {
    var joined = self
    joined.proven += other.proven
    joined.possible += other.possible
    joined.refused += other.refused
    return joined
  }

  mutating func add(
    _ medium: OpenMedium, _ hardware: HardwareID?, as description: MediumDescription
  ) {
    let known = proven + possible + refused.map(\.medium)
    guard !known.contains(where: { $0.deviceNumber == medium.deviceNumber }) else { return }
    guard let recorded = HardwareID(description.hardwareID), let hardware else {
      possible.append(medium)
      return
    }
    if hardware.contradicts(recorded) {
      refused.append((medium, hardware))
    } else if hardware.proves(recorded) {
      proven.append(medium)
    } else {
      possible.append(medium)
    }
  }
}

extension MediumDescription {
  /// Whether the user's name for a medium means this one: its identifier, its
  /// label, or the label without the word before its number.
  func isNamed(_ name: String) -> Bool {
    name == label || name.lowercased() == id.description
      || label.split(separator: " ").last.map(String.init) == name
  }
}
