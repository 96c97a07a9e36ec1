import HostSystem
import Synchronization
import Testing

@Suite struct WorkQueueTests {
  @Test func whatHasNoRoomIsNotTaken() {
    let queue = WorkQueue<Int>(limit: 2)
    #expect(queue.offer(1))
    #expect(queue.offer(2))
    #expect(!queue.offer(3))
    #expect(queue.next() == 1)
    #expect(queue.offer(3))
    queue.close()
    #expect(!queue.offer(4))
    #expect(!queue.add(4))
    #expect([queue.next(), queue.next(), queue.next()] == [2, 3, nil])
  }

  /// Two threads take what one gives, which waits for room most of the time.
  @Test func everyPieceIsTakenOnce() throws {
    let queue = WorkQueue<Int>(limit: 3)
    let taken = Mutex<[Int]>([])
    let running = Monitor(2)
    for _ in 0..<2 {
      try Thread.detach {
        while let piece = queue.next() { taken.withLock { $0.append(piece) } }
        running.withLock { $0 -= 1 }
        running.notifyAll()
      }
    }
    for piece in 0..<1000 { #expect(queue.add(piece)) }
    queue.close()
    running.wait { $0 == 0 ? .done(()) : .wait }
    #expect(taken.withLock { $0.sorted() } == Array(0..<1000))
  }
}
