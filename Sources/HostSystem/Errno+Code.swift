public import FrozenImage
import Glibc
public import SystemPackage

extension Errno: CodedError {
  public var code: ErrorCode {
    switch self {
    case .noSuchFileOrDirectory, .notDirectory: .notFound
    case .fileExists: .exists
    case .resourceBusy, .textFileBusy: .inUse
    case .permissionDenied, .notPermitted, .readOnlyFileSystem: .notPermitted
    case .noSpace, .diskQuotaExceeded, .fileTooLarge, .tooManyOpenFiles,
      .tooManyOpenFilesInSystem, .noMemory:
      .noRoom
    case .ioError, .noSuchAddressOrDevice, .operationNotSupportedByDevice,
      Errno(rawValue: Glibc.EUCLEAN):
      .medium
    case .notSupported, .noFunction, Errno(rawValue: Glibc.ENOTTY): .unsupported
    case .connectionRefused, .timedOut, .hostIsDown, .noRouteToHost, .networkUnreachable:
      .unreachable
    case .interrupted: .interrupted
    default: .failed
    }
  }
}
