public import FrozenImage
public import ImageReader

/// Finds the media of an image on this host: by the paths that the user named, by
/// looking at every block device and, where that is allowed, in a file at the path that
/// the production host had.
///
/// Reading the wrong LUN is the worst failure of all, so a medium is taken only
/// when its identity matches, and two that match are refused until the user names
/// one. A clone carries the same identity, so a device whose hardware identifier is
/// another one than the recorded is refused too, unless the user named it.
public struct MediumFinder: Sendable {
  /// Paths that the user named, by the medium's identifier or label.
  public let named: [String: String]

  /// Whether a file may be opened because the representation names its path. One that
  /// came from another host must not choose which files of this one are read.
  public let trustsPaths: Bool

  private let sysfs: Sysfs

  public init(named: [String: String], trustsPaths: Bool = false, sysfs: Sysfs = Sysfs()) {
    self.named = named
    self.trustsPaths = trustsPaths
    self.sysfs = sysfs
  }

  public enum Failure: Error, CustomStringConvertible, Sendable {
    case wrongMedium(label: String, MediumError)
    /// - Parameter silent: devices that did not answer.
    case notFound(label: String, id: MediumID, silent: [String])
    case ambiguous(label: String, paths: [String])
    case otherHardware(label: String, path: String, found: HardwareID, recorded: String)
    case unknownName(String, known: [String])

    public var description: String {
      switch self {
      case .wrongMedium(let label, let error):
        "the medium named for \(label) is refused: \(error.path): \(error.reason)"
      case .notFound(let label, let id, let silent):
        "no block device of this host is the medium \(label) (\(id)); "
          + (silent.isEmpty
            ? "" : "\(silent.joined(separator: ", ")) did not answer and may be it; ")
          + "if it lies in a file, name it: --medium \(id)=PATH"
      case .ambiguous(let label, let paths):
        "\(paths.joined(separator: " and ")) both are \(label); name the right one with --medium"
      case .otherHardware(let label, let path, let found, let recorded):
        "\(path) carries the bytes of \(label), but is other hardware (\(found), where \(recorded) "
          + "was frozen); if it is the right one all the same, name it with --medium"
      case .unknownName(let name, let known):
        "the image has no medium \(name); its media are \(known.joined(separator: ", "))"
      }
    }
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
    guard let witness, let probe = description.witness else { return try find(description) }
    let matches = matches(description)
    var candidates =
      matches.isProven || matches.refused.isEmpty ? candidates(matches, description) : []
    if let named = try? findNamed(description) { candidates.append(named) }
    let inStep = candidates.filter { (try? $0.extract(probe)) == witness }
    guard inStep.count == 1, let medium = inStep.first else { return try find(description) }
    return medium
  }

  private func find(_ description: MediumDescription) throws(Failure) -> OpenMedium {
    if let named = try findNamed(description) { return named }
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
    if let medium = candidates.first { return medium }
    throw .notFound(label: description.label, id: description.id, silent: matches.silent)
  }

  /// What may be the medium: the devices that match, and the file that was frozen, which
  /// may be on this very host. A loop device that shows that file is no other candidate.
  private func candidates(
    _ matches: Matches, _ description: MediumDescription
  ) -> [OpenMedium] {
    guard trustsPaths, description.hardwareID.isEmpty,
      let file = try? OpenMedium(path: description.path), file.deviceNumber == nil,
      (try? file.verifyIdentity(of: description)) != nil
    else { return matches.media }
    return [file] + matches.media.filter { !$0.isLoopDevice(over: file) }
  }

  /// The medium that the user named; `nil` when none was named.
  private func findNamed(_ description: MediumDescription) throws(Failure) -> OpenMedium? {
    guard let path = named.first(where: { description.isNamed($0.key) })?.value else { return nil }
    do throws(MediumError) {
      let medium = try OpenMedium(path: path)
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
    for path in sysfs.blockDevices() {
      guard DeviceProbe.answers(path) else {
        silent.append(path)
        continue
      }
      guard let medium = try? OpenMedium(path: path), let number = medium.deviceNumber,
        (try? medium.verifyIdentity(of: description)) != nil, number != named?.deviceNumber
      else { continue }
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
