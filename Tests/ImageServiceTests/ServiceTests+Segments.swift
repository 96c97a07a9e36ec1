import Catalogue
import FrozenImage
import ImageAccess
import ImageFixtures
import ImageReader
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

extension ServiceTests {
  /// A program that carries the line over TCP, as ssh does, waits with each small piece but
  /// the first for an acknowledgement that is delayed by 40 ms.
  @Test func aQuestionAndItsAnswerAreOnePieceEach() async throws {
    try catalogue.freeze("nightly")
    let image = MemoryImage(bytes: randomBytes(4096))
    let service = try await TestService(catalogue, image: image)
    guard case .unix(let socket) = service.endpoint else { return }
    let path = directory.path.appending("relay").string
    let relay = try CuttingRelay(to: socket, at: path)
    let expected = image.content.withLock { $0.answer }
    let count = 100
    let (before, after) = try await blocking {
      let remote = try RemoteImage.connect(
        to: ServiceAddress("floe+unix:\(path)/nightly"), logger: Logger(label: "test"))
      // What settles the connection is over.
      _ = try remote.answer(.sample)
      let before = relay.pieces
      for number in 0..<count {
        if number % 2 == 0 {
          guard try remote.answer(.sample) == expected else { throw CancellationError() }
        } else {
          var byte = [UInt8](repeating: 0, count: 4096)
          _ = try byte.withUnsafeMutableBytes { try remote.read(inode: 1, offset: 0, into: $0) }
        }
      }
      defer { remote.close() }
      return (before, relay.pieces)
    }
    // A machine that is very busy may let a message wait for its end for too long.
    #expect(after.questions - before.questions <= count * 11 / 10)
    #expect(after.answers - before.answers <= count * 11 / 10)
    relay.stop()
    try await service.stop()
  }

  @Test func framesAreFollowedWhereverTheyAreCut() {
    func frame(_ type: UInt8, _ flags: UInt8, _ length: Int, stream: UInt8 = 1) -> [UInt8] {
      [0, UInt8(length >> 8), UInt8(length & 255), type, flags, 0, 0, 0, stream]
        + [UInt8](repeating: 0xFF, count: length)
    }
    let begin = frame(1, 4, 30) + frame(0, 0, 300)
    let whole = begin + frame(1, 5, 20)
    for cut in 0...begin.count {
      var scanner = FrameScanner()
      var content = FrameScanner.Content()
      scanner.scan(begin[..<cut], into: &content)
      scanner.scan(begin[cut...], into: &content)
      #expect(content.onlyBeginsAnswers && content.hasMessages && content.length == begin.count)
      scanner.scan(whole[begin.count...], into: &content)
      #expect(!content.onlyBeginsAnswers)
    }
    for word in [frame(4, 0, 12, stream: 0), frame(6, 1, 8, stream: 0), frame(3, 0, 4)] {
      var scanner = FrameScanner()
      var content = FrameScanner.Content()
      scanner.scan(word, into: &content)
      #expect(!content.onlyBeginsAnswers)
    }
  }
}
