import NIOCore

/// Lets an answer leave in one write.
///
/// gRPC flushes the head of a streamed answer, each message of it and its end one by one.
/// Where the line is carried over TCP by a program that does not turn off Nagle's algorithm
/// (RFC 896), as `ssh -N -L` does not, the second small segment waits for the
/// acknowledgement of the first, which its receiver delays (RFC 1122, section 4.2.3.2): 40 ms
/// for a question. So what only begins an answer waits for the rest of it, up to a limit.
///
/// It stands between HTTP/2 and the socket and looks at the frames that pass (RFC 9113,
/// section 4.1). It changes no byte and no order.
final class AnswerCoalescing: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Bytes that are never held back: enough to fill packets.
  static let limit = 32 << 10
  /// Time that messages are held back, before the rest of their answer comes. A client whose
  /// window is smaller than `limit` asks for more only when it has them.
  static let patience = TimeAmount.milliseconds(500)

  private var scanner = FrameScanner()
  /// What was written since the last flush.
  private var written = FrameScanner.Content()
  /// Whether a flush was asked for that was not passed on.
  private var isHolding = false
  private var timer: Scheduled<Void>?

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    scanner.scan(unwrapOutboundIn(data).readableBytesView, into: &written)
    context.write(data, promise: promise)
  }

  func flush(context: ChannelHandlerContext) {
    guard written.onlyBeginsAnswers, written.length < Self.limit else {
      return flushNow(context)
    }
    isHolding = true
    guard written.hasMessages, timer == nil else { return }
    let place = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: Self.patience) {
      let (handler, context) = place.value
      if handler.isHolding { handler.flushNow(context) }
    }
  }

  private func flushNow(_ context: ChannelHandlerContext) {
    isHolding = false
    timer?.cancel()
    timer = nil
    written = FrameScanner.Content()
    context.flush()
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if isHolding { flushNow(context) }
    context.close(mode: mode, promise: promise)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    timer?.cancel()
    timer = nil
  }
}

/// Follows the frames in a stream of HTTP/2 bytes that a server sends (RFC 9113, section 4.1),
/// wherever it is cut.
struct FrameScanner {
  /// What some bytes hold.
  struct Content: Equatable {
    var length = 0
    /// Whether a part of a message is among them.
    var hasMessages = false
    /// Whether nothing is among them but heads of answers and messages: no end of an answer,
    /// and no word about the connection, for which somebody may wait.
    var onlyBeginsAnswers = true
  }

  private static let headLength = 9
  /// Bytes of a frame's head that came.
  private var head: [UInt8] = []
  /// Bytes of a frame's payload that are still to come.
  private var rest = 0

  /// Adds what some bytes hold.
  mutating func scan(_ bytes: some Collection<UInt8>, into content: inout Content) {
    content.length += bytes.count
    var bytes = bytes[...]
    while !bytes.isEmpty {
      if rest > 0 {
        let count = min(rest, bytes.count)
        bytes = bytes.dropFirst(count)
        rest -= count
        continue
      }
      let part = bytes.prefix(Self.headLength - head.count)
      head += part
      bytes = bytes.dropFirst(part.count)
      guard head.count == Self.headLength else { return }
      rest = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
      note(type: head[3], flags: head[4], into: &content)
      head = []
    }
  }

  private func note(type: UInt8, flags: UInt8, into content: inout Content) {
    let endsAnswer = flags & 1 != 0
    switch type {
    case 0 where !endsAnswer: content.hasMessages = true  // DATA
    case 1 where !endsAnswer: break  // HEADERS
    case 9: break  // CONTINUATION, which ends what its HEADERS end
    default: content.onlyBeginsAnswers = false
    }
  }
}
