import FrozenImage
import Glibc
import HostSystem
import SystemPackage

extension JobRunner {
  /// Exit statuses of what is no job's own, as timeout(1) and env(1) have them. The first one also
  /// stands for a mount that cannot be taken away.
  private static let notStarted: Int32 = 125
  private static let timedOut: Int32 = 124
  private static let cancelled: Int32 = 143

  /// What became of a job over an image, or over all.
  private struct Ending {
    var status: Int32
    var reason: String?
  }

  /// Runs a job to its end. Nothing is mounted afterwards.
  func run(_ id: UniqueIdentifier) {
    guard let run = run(of: id) else { return }
    update(id) { record in
      record.state = .running
      record.began = Timestamp.now.seconds
    }
    if run.job.isTogether {
      runTogether(run)
    } else {
      for index in run.request.images.indices { runAlone(run, index) }
    }
    let isCancelled = isCancelled(id)
    update(id) { record in
      let failed = record.images.first { $0.exitStatus != 0 }
      record.exitStatus = failed.map { $0.exitStatus ?? Self.notStarted } ?? 0
      record.reason = failed.map { "\($0.label): \($0.reason ?? "it was not begun")" }
      record.state = failed == nil ? .succeeded : isCancelled ? .cancelled : .failed
      record.ended = Timestamp.now.seconds
    }
  }

  private func runAlone(_ run: Run, _ index: Int) {
    let image = run.request.images[index]
    let directory = place(of: image, run.request)
    guard mount(run, [index]) else { return }
    let ending = work(
      run, in: directory,
      words: run.job.command.words(
        mount: directory, image: image.label, host: run.request.host), over: [index])
    finish(run, [index], ending)
  }

  private func runTogether(_ run: Run) {
    let all = Array(run.request.images.indices)
    let directory = directory(of: run.request)
    // What earlier runs could not unmount is none of its images. Others of now do not run: the
    // queue sees to it.
    for mount in mounter.mounts(below: directory) {
      do throws(Failure) { try mounter.unmount(mount) } catch {
        return finish(run, all, Ending(status: Self.notStarted, reason: "\(error)"))
      }
    }
    guard mount(run, all) else { return }
    let ending = work(
      run, in: directory,
      words: run.job.command.words(mount: directory, image: "", host: run.request.host), over: all)
    finish(run, all, ending)
  }

  /// Mounts images; when one fails none is.
  private func mount(_ run: Run, _ indices: [Int]) -> Bool {
    for index in indices {
      let image = run.request.images[index]
      let directory = place(of: image, run.request)
      do throws(Failure) {
        guard !isCancelled(run.request.id) else {
          throw Failure(.interrupted, "it was cancelled")
        }
        let link = link(run.request.id)
        guard link.isAlive else {
          throw Failure(
            .unreachable,
            "the production host's service did not arrive here: its ssh needs to forward Unix "
              + "sockets both ways (AllowStreamLocalForwarding of sshd_config)")
        }
        try Self.makeDirectories(self.directory(of: run.request))
        if let user = run.job.user { try Self.open(self.directory(of: run.request), to: user) }
        try Self.makeDirectories(directory)
        // What an earlier run could not unmount.
        try mounter.unmount(directory)
        try mounter.mount(
          image, from: link.path, at: directory, options: run.job.mountOptions,
          isForOthers: run.job.user != nil)
      } catch {
        finish(run, indices, Ending(status: Self.notStarted, reason: "\(error)"))
        return false
      }
    }
    return true
  }

  /// Runs the command, again where it failed and may.
  private func work(
    _ run: Run, in directory: String, words: [String], over indices: [Int]
  ) -> Ending {
    let id = run.request.id
    let deadline = MonotonicClock.now() + UInt64(run.job.timeout) * 1_000_000_000
    let command = launch(run.job, words, id.description, directory)
    var ending = Ending(status: Self.notStarted, reason: "it was not begun")
    for _ in 0...run.job.retries {
      guard !isCancelled(id) else {
        return Ending(status: Self.cancelled, reason: "it was cancelled")
      }
      update(id, keeps: false) { record in
        for index in indices { record.images[index].attempts += 1 }
      }
      let now = MonotonicClock.now()
      guard now < deadline else { break }
      guard let process = RunningProcess(command.program, command.words) else {
        return Ending(status: Self.notStarted, reason: "\(command.program) cannot be started")
      }
      var nextCount = now
      let outcome = process.wait(
        within: deadline - now,
        isCancelled: {
          if MonotonicClock.now() >= nextCount {
            count(run, indices)
            nextCount = MonotonicClock.now() + 5_000_000_000
          }
          return isCancelled(id)
        },
        lastResort: {
          for index in indices { mounter.abort(place(of: run.request.images[index], run.request)) }
        }, line: { say($0, of: id) })
      // Those that left its session, too: before it is tried again, and before its mount goes.
      RunProcesses.kill(run: id.description)
      switch outcome {
      case .exited(0): return Ending(status: 0)
      case .exited(let status):
        ending = Ending(status: status, reason: "the job ended with exit status \(status)")
      case .cancelled: return Ending(status: Self.cancelled, reason: "it was cancelled")
      case .timedOut:
        return Ending(
          status: Self.timedOut, reason: "the job took longer than \(run.job.timeout) s")
      }
    }
    return ending
  }

  /// Takes the counts of the mounts, unmounts, and notes how it ended.
  private func finish(_ run: Run, _ indices: [Int], _ ending: Ending) {
    count(run, indices)
    for index in indices {
      let directory = place(of: run.request.images[index], run.request)
      var ending = ending
      do throws(Failure) { try mounter.unmount(directory) } catch {
        say("floe: \(error)", of: run.request.id)
        // What could not be taken away is no success: the next night cannot mount there.
        if ending.status == 0 {
          ending = Ending(status: Self.notStarted, reason: "the job succeeded, but \(error)")
        }
      }
      // A job over all images of a host sees its own and nothing else.
      rmdir(directory)
      update(run.request.id) { record in
        record.images[index].exitStatus = ending.status
        record.images[index].reason = ending.reason
      }
    }
  }

  private func count(_ run: Run, _ indices: [Int]) {
    for index in indices {
      let directory = place(of: run.request.images[index], run.request)
      guard let counts = mounter.counts(at: directory) else { continue }
      update(run.request.id, keeps: false) { $0.images[index].counts = counts }
    }
  }

  /// Lets nobody in but the user's group: a mount that another user is to see is open to all. The
  /// directory stays the agent's, so that nobody puts a link where the agent is to mount.
  private static func open(_ directory: String, to user: String) throws(Failure) {
    guard let group = UserEntry.group(of: user) else {
      throw Failure(.notFound, "there is no user \(user)")
    }
    guard chmod(directory, 0o700) == 0, chown(directory, geteuid(), group) == 0,
      chmod(directory, 0o710) == 0
    else {
      throw Failure(
        "the directory \(directory) cannot be opened to \(user)", cause: Errno(rawValue: errno))
    }
  }

  private static func makeDirectories(_ path: String) throws(Failure) {
    var path = FilePath(path)
    if mkdir(path.string, 0o755) == 0 || errno == EEXIST { return }
    let reason = Errno(rawValue: errno)
    let whole = path
    guard reason == .noSuchFileOrDirectory, path.removeLastComponent(), !path.isEmpty else {
      throw Failure("the directory \(whole) cannot be made", cause: reason)
    }
    try makeDirectories(path.string)
    guard mkdir(whole.string, 0o755) == 0 || errno == EEXIST else {
      throw Failure("the directory \(whole) cannot be made", cause: Errno(rawValue: errno))
    }
  }
}
