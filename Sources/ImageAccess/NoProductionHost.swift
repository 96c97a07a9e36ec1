package import FrozenImage
package import HostSystem
package import ImageReader

/// Nobody: the image is a file, which names no service, or one that is not asked. Its
/// reads hold for as long as the witness on the media does not change.
package struct NoProductionHost: ProductionHost {
  /// The path of the representation, for messages.
  package let file: String
  /// Why nobody is asked.
  private let reason: String

  /// Nobody, as the user has it: the media are copies of their own.
  package init(unaskedOf file: String) {
    self.file = file
    reason = "the media alone are asked (--answers media)"
  }

  /// - Parameter service: the address in the file, which its owner may have made up;
  ///   `nil` when there is none.
  package init(file: String, service: String?, owner: FileOwner) {
    self.file = file
    reason =
      service.map {
        "\(file) belongs to \(owner), so the service that it names is asked only when it is "
          + "allowed: --service \($0)"
      } ?? "\(file) names no service"
  }

  package func liveCheck() throws(SourceError) {
    throw .unreachable(reason)
  }

  package func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    throw .failed(
      "the witness on the media is not that of the freeze, and nobody can tell what moved: "
        + reason)
  }

  package func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    throw .failed(
      "inode \(inode) has bytes that only the production host can read: \(reason)")
  }
}
