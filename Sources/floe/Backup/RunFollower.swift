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

  private struct Heard {
    var news: RunNews?
    var nextLine: UInt64 = 0
  }

  /// Nanoseconds for which an agent that does not answer is asked again.
  private static let patience: UInt64 = 600_000_000_000

  let agent: AgentConnection
  let job: String
  let run = UniqueIdentifier.random()

  init(agent: AgentConnection, job: String) {
    self.agent = agent
    self.job = job
  }

  /// Asks, and follows. A signal cancels the run.
  mutating func run(_ images: [RunImage]) -> End {
    let host = PathName.isValid(HostName.current) ? HostName.current : "unknown"
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
    let watch = CancelWatch(agent: agent, run: run)
    defer { watch.stop() }
    var silentSince: UInt64?
    while true {
      do throws(Failure) {
        try agent.follow(run, from: heard.withLock { $0.nextLine }) { Self.take($0, heard) }
      } catch {
        // It forgot the run: what it ran last is gone with it.
        guard error.code == .unreachable else {
          return Self.end(heard.withLock { $0.news }, problem: "\(error)", isOver: false)
        }
        let now = MonotonicClock.now()
        let since = silentSince ?? now
        silentSince = since
        guard now - since < Self.patience, Interruption.signal == nil else {
          return Self.end(heard.withLock { $0.news }, problem: "\(error)", isOver: false)
        }
        usleep(1_000_000)
        continue
      }
      silentSince = nil
      let news = heard.withLock { $0.news }
      if let news, news.isOver { return Self.end(news, problem: nil, isOver: true) }
    }
  }

  private static func take(_ news: RunNews, _ heard: Monitor<Heard>) {
    for line in news.lines { printError(line) }
    heard.withLock { heard in
      heard.news = news
      heard.nextLine = news.firstLine + UInt64(news.lines.count)
    }
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

/// Cancels a run when a signal came, on a thread of its own.
private final class CancelWatch: Sendable {
  private let isStopped = Monitor(false)

  init(agent: AgentConnection, run: UniqueIdentifier) {
    let isStopped = isStopped
    try? Thread.detach {
      while !isStopped.withLock({ $0 }) {
        if Interruption.signal != nil {
          // Where nobody answers, the run ends when its image is thawed.
          try? agent.cancel(run)
          return
        }
        usleep(100_000)
      }
    }
  }

  func stop() { isStopped.withLock { $0 = true } }
}
