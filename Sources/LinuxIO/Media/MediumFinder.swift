public import FrozenImage
import Glibc
public import ImageReader

/// Finds the media of an image on this host: by the paths that the user named, by
/// looking at every block device, or, where that is allowed and no device matches, in
/// a file at the path that the production host had.
///
/// Reading the wrong LUN is the worst failure of all, so a medium is taken only
/// when its identity matches, and two that match are refused until the user names
/// one.
public struct MediumFinder: Sendable {
  /// Paths that the user named, by the medium's identifier or label.
  public let named: [String: String]

  /// Whether a file may be opened because the representation names its path. One that
  /// came from another host must not choose which files of this one are read.
  public let trustsPaths: Bool

  public init(named: [String: String], trustsPaths: Bool = false) {
    self.named = named
    self.trustsPaths = trustsPaths
  }

  public enum Failure: Error, CustomStringConvertible, Sendable {
    case wrongMedium(label: String, MediumError)
    case notFound(label: String, id: MediumID)
    case ambiguous(label: String, paths: [String])
    case unknownName(String, known: [String])

    public var description: String {
      switch self {
      case .wrongMedium(let label, let error):
        "the medium named for \(label) is refused: \(error.path): \(error.reason)"
      case .notFound(let label, let id):
        "no block device of this host is the medium \(label) (\(id)); "
          + "if it lies in a file, name it: --medium \(id)=PATH"
      case .ambiguous(let label, let paths):
        "\(paths.joined(separator: " and ")) both are \(label); name the right one with --medium"
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
    var candidates = matches(description)
    if let named = try? findNamed(description) { candidates.append(named) }
    let inStep = candidates.filter { (try? $0.extract(probe)) == witness }
    guard inStep.count == 1, let medium = inStep.first else { return try find(description) }
    return medium
  }

  private func find(_ description: MediumDescription) throws(Failure) -> OpenMedium {
    if let named = try findNamed(description) { return named }
    let matches = matches(description)
    guard matches.count <= 1 else {
      throw .ambiguous(label: description.label, paths: matches.map(\.path).sorted())
    }
    if let medium = matches.first { return medium }
    // A disk image that is frozen and mounted on one host.
    if trustsPaths, let medium = try? OpenMedium(path: description.path),
      medium.deviceNumber == nil,
      (try? medium.verifyIdentity(of: description)) != nil
    {
      return medium
    }
    throw .notFound(label: description.label, id: description.id)
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

  /// The block devices that carry the identity, each once, the named one excepted.
  private func matches(_ description: MediumDescription) -> [OpenMedium] {
    let named = try? findNamed(description)
    var matches: [OpenMedium] = []
    for path in Self.blockDevices() {
      guard let medium = try? OpenMedium(path: path),
        (try? medium.verifyIdentity(of: description)) != nil,
        medium.deviceNumber != named?.deviceNumber,
        !matches.contains(where: { $0.deviceNumber == medium.deviceNumber })
      else { continue }
      matches.append(medium)
    }
    return matches
  }

  /// The paths of this host's block devices, from /sys/class/block.
  public static func blockDevices() -> [String] {
    guard let directory = opendir("/sys/class/block") else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    // The kernel writes "!" for a slash in a device's name.
    return names.sorted().map { name in
      "/dev/" + String(name.map { $0 == "!" ? "/" : $0 })
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
