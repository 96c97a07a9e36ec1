public import FrozenImage
public import HostSystem
public import ImageReader

extension MediumFinder {
  /// Why a medium cannot be had, in one sentence.
  public enum Failure: CodedError {
    case wrongMedium(label: String, MediumError)
    /// - Parameters:
    ///   - silent: devices that did not answer.
    ///   - left: what carries the identity, but no `--media` pattern allows.
    case notFound(label: String, id: MediumID, silent: [String], left: [String])
    case ambiguous(label: String, paths: [String])
    case otherHardware(label: String, path: String, found: HardwareID, recorded: String)
    case unknownName(String, known: [String])
    /// What the description calls the identity is no identifier of the medium's own.
    case unidentified(label: String, id: MediumID, path: String)
    /// The user whose file describes the medium may not read it.
    case ownerMayNotRead(
      label: String, id: MediumID, path: String, FileOwner, reason: String)
    case usedByThisHost(label: String, id: MediumID, path: String)

    public var code: ErrorCode {
      switch self {
      case .wrongMedium, .notFound, .otherHardware: .medium
      case .ambiguous, .unknownName: .invalid
      case .unidentified, .ownerMayNotRead, .usedByThisHost: .notPermitted
      }
    }

    public var description: String {
      switch self {
      case .wrongMedium(let label, let error):
        "the medium named for \(label) is refused: \(error.path): \(error.reason)"
      case .notFound(let label, let id, let silent, let left):
        "no block device of this host is the medium \(label) (\(id)); "
          + (silent.isEmpty
            ? "" : "\(silent.joined(separator: ", ")) did not answer and may be it; ")
          + (left.isEmpty
            ? ""
            : "\(left.joined(separator: ", ")) would be it, but no --media pattern allows it; ")
          + "if it lies in a file, name it: --medium \(id)=PATH"
      case .ambiguous(let label, let paths):
        "\(paths.joined(separator: " and ")) both are \(label); name the right one with --medium"
      case .otherHardware(let label, let path, let found, let recorded):
        "\(path) carries the bytes of \(label), but is other hardware (\(found), where \(recorded) "
          + "was frozen); if it is the right one all the same, name it with --medium"
      case .unknownName(let name, let known):
        "the image has no medium \(name); its media are \(known.joined(separator: ", "))"
      case .unidentified(let label, let id, let path):
        "\(path) has the bytes that \(label) is known by, but they are no identifier of its own (a "
          + "UUID or a WWID), which others may have as well; if it is the right one, name it: "
          + "--medium \(id)=\(path)"
      case .ownerMayNotRead(let label, let id, let path, let owner, let reason):
        "\(path) is \(label), but the representation's file belongs to \(owner), who cannot open it "
          + "(\(reason)); if it is to be read all the same, name it: --medium \(id)=\(path)"
      case .usedByThisHost(let label, let id, let path):
        "\(path) is \(label), but this host uses it itself (it or a part of it is mounted, swap or "
          + "in a volume), and no service of this very host told it; if it is the right one, name "
          + "it: --medium \(id)=\(path)"
      }
    }
  }
}
