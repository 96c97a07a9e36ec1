import FrozenImage
import Glibc
import HostSystem
import Jobs
import SystemPackage

/// Mounts images for jobs by this very program, each in a process of its own.
struct ProgramMounter: ImageMounter {
  /// Nanoseconds after which a mount is given up.
  private static let patience: UInt64 = 600_000_000_000

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
  private static func run(_ words: [String]) -> (status: Int32, said: [String]) {
    var said: [String] = []
    let status = ProgramOutput.run("/proc/self/exe", words, within: patience) { said.append($0) }
    return (status, said)
  }

  func counts(at directory: String) -> ReadCounts? {
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
    let (status, said) = Self.run(["floe", "umount", directory])
    guard status != 0, MountTable.hasFloe(at: directory) else { return }
    // Somebody looks at it: what is over is taken away under him.
    try MountTable.unmount(directory, lazily: true)
    guard !MountTable.hasFloe(at: directory) else {
      throw Failure(.inUse, said.last ?? "\(directory) is mounted still")
    }
  }

  func mounts(below directory: String) -> [String] {
    MountTable.mountpoints.filter { $0.hasPrefix("\(directory)/") }
  }
}
