import FrozenImage
import Glibc
import HostSystem
import ImageService
import Jobs

/// Has an agent run a job, and follows it to its end, over lines that break and agents that start
/// again.
struct RunFollower {
  /// How it ended, as far as is known.
  struct End {
    var state = RunRecord.State.lost
    var exitStatus: Int32 = EXIT_FAILURE
    var reason: String?
    var images: [RunNews.Image] = []
    /// Whether the agent said that nothing is mounted any more.
    var isOver = false
  }

  /// How long it is waited.
  struct Patience {
    /// Of one call; a run that lasts longer is followed by several.
    var call = Duration.seconds(300)
    /// Nanoseconds without news, after which nobody knows what becomes of the run. An agent sends
    /// some every 30 seconds.
    var silence: UInt64 = 600_000_000_000
    /// The same once a signal came.
    var farewell: UInt64 = 60_000_000_000
  }

  private struct Heard {
    var news: RunNews?
    var nextLine: UInt64 = 0
    /// When there was news last.
    var time = MonotonicClock.now()
  }

  let agent: AgentConnection
  let job: String
  /// This host's name.
  let host: String
  var patience = Patience()
  let run = UniqueIdentifier.random()

  init(agent: AgentConnection, job: String, host: String) {
    self.agent = agent
    self.job = job
    self.host = host
  }

  /// Asks, and follows. A signal cancels the run.
  func run(_ images: [RunImage]) -> End {
    do throws(Failure) {
      try agent.run(run, job: job, host: host, images: images)
    } catch {
      // Without an answer nobody knows whether it was taken.
      var end = End()
      end.reason = "\(error)"
      end.isOver = error.code != .unreachable
      end.state = end.isOver ? .failed : .lost
      return end
    }
    let heard = Monitor(Heard())
    let watch = CancelWatch(isWanted: { Interruption.signal != nil }) { [agent, run] in
      try agent.cancel(run)
    }
    defer { watch.stop() }
    while true {
      let began = MonotonicClock.now()
      do throws(Failure) {
        try agent.follow(run, from: heard.withLock { $0.nextLine }, for: patience.call) {
          Self.take($0, heard)
        }
      } catch {
        let (news, time) = heard.withLock { ($0.news, $0.time) }
        // It forgot the run: what it ran last is gone with it.
        guard error.code == .unreachable else {
          return Self.end(news, problem: "\(error)", isOver: false)
        }
        // With news this was no more than the end of a call's time.
        if time < began {
          let limit = Interruption.signal == nil ? patience.silence : patience.farewell
          guard MonotonicClock.now() - time < limit else {
            return Self.end(news, problem: "\(error)", isOver: false)
          }
          usleep(1_000_000)
        }
      }
      let news = heard.withLock { $0.news }
      if let news, news.isOver { return Self.end(news, problem: nil, isOver: true) }
    }
  }

  private static func take(_ news: RunNews, _ heard: Monitor<Heard>) {
    let lines = heard.withLock { heard in
      heard.news = news
      heard.time = MonotonicClock.now()
      // A call that is given up may have its last word while the next one begins.
      let known = heard.nextLine > news.firstLine ? heard.nextLine - news.firstLine : 0
      let (end, overflow) = news.firstLine.addingReportingOverflow(UInt64(news.lines.count))
      if !overflow { heard.nextLine = max(heard.nextLine, end) }
      return news.lines.dropFirst(Int(clamping: known))
    }
    for line in lines { printError(line) }
  }

  private static func end(_ news: RunNews?, problem: String?, isOver: Bool) -> End {
    var end = End()
    end.isOver = isOver
    end.images = news?.images ?? []
    guard let news, isOver else {
      end.reason = problem
      return end
    }
    end.state = news.state
    end.exitStatus = news.exitStatus ?? EXIT_FAILURE
    end.reason = news.reason.isEmpty ? nil : news.reason
    return end
  }
}

extension RunNews {
  var isOver: Bool { state != .waiting && state != .running }
}

/// Cancels a run once that is wanted, on a thread of its own: again until somebody answers.
final class CancelWatch: Sendable {
  private let isStopped = Monitor(false)

  init(isWanted: @escaping @Sendable () -> Bool, cancel: @escaping @Sendable () throws -> Void) {
    let isStopped = isStopped
    try? Thread.detach {
      while !isStopped.withLock({ $0 }) {
        let isWanted = isWanted()
        if isWanted, (try? cancel()) != nil { return }
        usleep(isWanted ? 500_000 : 100_000)
      }
    }
  }

  func stop() { isStopped.withLock { $0 = true } }
}
