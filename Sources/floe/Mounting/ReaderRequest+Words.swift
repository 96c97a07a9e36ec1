import FrozenImage
import HostSystem
import ImageAccess
import ImageService
import Logging

extension ReaderRequest {
  /// Reads `ID=PATH` words.
  ///
  /// - Throws: `Failure` when a word is something else.
  static func media(from words: [String]) throws(Failure) -> [String: String] {
    var media: [String: String] = [:]
    for word in words {
      guard let equals = word.firstIndex(of: "="), equals != word.startIndex,
        word.index(after: equals) != word.endIndex
      else { throw Failure(.invalid, "“\(word)” is not ID=PATH") }
      media[String(word[..<equals])] = HostPath.absolute(String(word[word.index(after: equals)...]))
    }
    return media
  }

  /// The wire, which waits for an answer as long as a read waits.
  var connector: ServiceConnector {
    var timeouts = RemoteImage.Timeouts()
    timeouts.call = .seconds(max(1, remapTimeout))
    return RemoteImage.connector(timeouts: timeouts)
  }
}

extension RemoteImage {
  /// The wire, as an image is opened through it.
  static func connector(timeouts: Timeouts) -> ServiceConnector {
    { (address) throws(ServiceError) in
      try connect(to: address, timeouts: timeouts, logger: Logger(label: "floe.wire"))
    }
  }
}
