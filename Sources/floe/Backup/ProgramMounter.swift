import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import Jobs
import SystemPackage

/// Mounts images for jobs by this very program, each in a process of its own.
struct ProgramMounter: ImageMounter {
  /// Nanoseconds after which a mount is given up.
  private static let patience: UInt64 = 600_000_000_000
  /// The same for what a mount that does not hang does at once.
  private static let patienceAtEnd: UInt64 = 30_000_000_000
  /// And for a mount's counts.
  private static let patienceForCounts: UInt64 = 2_000_000_000

  /// Mounts that are asked for their counts just now.
  private let asked = Monitor<Set<String>>([])

  func mount(
    _ image: RunImage, from socket: String, at directory: String, options: [String],
    isForOthers: Bool
  ) throws(Failure) {
    let words =
      ["floe", "mount", "floe+unix:\(socket)/\(image.id)", directory]
      + (isForOthers ? ["-o", "allow_other"] : []) + options
    let (status, said) = Self.run(words)
    guard status == 0 else {
      let reason = said.last { $0.hasPrefix("floe:") }?.dropFirst(5).drop { $0 == " " }
      throw Failure(
        .failed,
        "the image cannot be mounted: "
          + (reason.map(String.init) ?? said.last ?? "floe mount ended with exit status \(status)"))
    }
  }

  /// Runs this program; what it says on both outputs.
  private static func run(
    _ words: [String], within limit: UInt64 = patience
  ) -> (status: Int32, said: [String]) {
    var said: [String] = []
    let status = ProgramOutput.run("/proc/self/exe", words, within: limit) { said.append($0) }
    return (status, said)
  }

  /// On a thread of its own: nothing ends the question to a mount that hangs.
  func counts(at directory: String) -> ReadCounts? {
    guard asked.withLock({ $0.insert(directory).inserted }) else { return nil }
    let answer = Monitor<ReadCounts??>(nil)
    let asked = asked
    do throws(Errno) {
      try Thread.detach {
        let counts = Self.counts(at: directory)
        asked.withLock { _ = $0.remove(directory) }
        answer.withLock { $0 = .some(counts) }
        answer.notifyAll()
      }
    } catch {
      asked.withLock { _ = $0.remove(directory) }
      return nil
    }
    let limit = MonotonicClock.now() + Self.patienceForCounts
    return answer.wait { found in
      if let found { return .done(found) }
      return MonotonicClock.now() >= limit ? .done(nil) : .waitUntil(limit)
    }
  }

  private static func counts(at directory: String) -> ReadCounts? {
    guard MountTable.hasFloe(at: directory),
      let bytes = try? MountTable.control(ControlAttributes.status, of: directory),
      let report = JSON.report(StatusReport.self, from: bytes)
    else { return nil }
    var counts = ReadCounts()
    counts.reads = report.reads
    counts.failed = report.errors
    counts.storageBytes = report.bytes.storage
    counts.productionHostBytes = report.bytes.production_host
    counts.representationBytes = report.bytes.representation
    counts.remaps = report.remaps
    counts.discarded = report.discarded_reads
    return counts
  }

  func unmount(_ directory: String) throws(Failure) {
    guard MountTable.hasFloe(at: directory) else { return }
    let (status, said) = Self.run(["floe", "umount", directory], within: Self.patienceAtEnd)
    guard status != 0, MountTable.hasFloe(at: directory) else { return }
    // Somebody looks at it: what is over is taken away under him.
    try MountTable.unmount(directory, lazily: true)
    guard !MountTable.hasFloe(at: directory) else {
      throw Failure(.inUse, said.last ?? "\(directory) is mounted still")
    }
  }

  func abort(_ directory: String) {
    // Not by its resolved path: whoever looks at it may hang, too.
    if umount2(directory, Int32(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW)) == 0 { return }
    _ = ChildProcess.run("fusermount3", ["fusermount3", "-uz", directory])
  }

  func mounts(below directory: String) -> [String] {
    MountTable.mountpoints.filter { $0.hasPrefix("\(directory)/") }
  }
}
