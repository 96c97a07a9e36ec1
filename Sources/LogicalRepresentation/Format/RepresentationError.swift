public import FrozenImage

/// Why a representation, or a record of it, cannot be read.
public enum RepresentationError: CodedError, Hashable {
  /// The bytes do not begin as a representation does.
  case notARepresentation
  /// The bytes are of a major version that this program does not read.
  case newerFormat(major: UInt16, minor: UInt16)
  /// The bytes use features that a reader must know, and this one does not.
  case unknownFeatures(UInt64)
  /// There are fewer or more bytes than the header says.
  case wrongLength(expected: UInt64, actual: UInt64)
  /// The bytes break a rule of the format.
  case damaged(place: String, problem: String)
  /// The caller's index is not that of a node.
  case noSuchNode(NodeIndex)
  /// The caller's node is not of the type that the question is about.
  case wrongType(NodeIndex, expected: FileType)
  /// The node, or what was asked of it, could not be read when the image was frozen.
  case unreadable(NodeIndex, reason: String)
}

extension RepresentationError {
  public var code: ErrorCode {
    switch self {
    case .notARepresentation, .noSuchNode, .wrongType: .invalid
    case .newerFormat, .unknownFeatures: .unsupported
    case .wrongLength, .damaged: .malformed
    case .unreadable: .medium
    }
  }

  public var description: String {
    switch self {
    case .notARepresentation:
      "this is not a representation: it begins with other bytes"
    case .newerFormat(let major, let minor):
      "the representation is of a newer format (\(major).\(minor); this floe reads "
        + "\(Format.major).x)"
    case .unknownFeatures(let bits):
      "the representation uses features that this floe does not know (bits 0x"
        + "\(String(bits, radix: 16)))"
    case .wrongLength(let expected, let actual):
      "the representation should have \(expected) bytes and has \(actual)"
    case .damaged(let place, let problem):
      "the representation is damaged: \(place): \(problem)"
    case .unreadable(_, let reason):
      "it could not be read when the image was frozen: \(reason)"
    case .noSuchNode(let node):
      "the image has no node \(node.rawValue)"
    case .wrongType(let node, .directory):
      "node \(node.rawValue) is not a directory"
    case .wrongType(let node, .symbolicLink):
      "node \(node.rawValue) is not a symbolic link"
    case .wrongType(let node, let expected):
      "node \(node.rawValue) is not of type \(expected.rawValue)"
    }
  }
}
