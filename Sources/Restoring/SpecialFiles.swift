import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// Restores what is neither a regular file nor a directory: symbolic links, devices, FIFOs and
/// sockets.
struct SpecialFiles {
  let representation: Representation
  let options: RestoreOptions
  let progress: RestoreProgress

  /// Restores one, unless the same is there already.
  func restore(_ job: FileJob) throws {
    let entry = EntryAttributes(of: job.node, job.attributes, in: representation)
    let target =
      job.attributes.type == .symbolicLink
      ? Array(try representation.symbolicLinkTarget(of: job.node)) : []
    if let problem = entry.problem { progress.fail(job.path, problem) }
    if let found = try job.directory.status(of: job.name) {
      if options.resumes, try isSame(job, target, entry) { return }
      try ExistingEntry.check(found, options)
    }
    do {
      try job.directory.remove(job.temporaryName)
      try make(job, target)
      let made = try job.directory.handle(of: job.temporaryName)
      guard isSameType(made.status, job) else {
        throw Failure(.failed, "something else was put in its place while it was made")
      }
      progress.note(entry.apply(to: made), of: job.path)
      try job.directory.rename(job.temporaryName, to: job.name, replacing: options.overwrites)
    } catch {
      try? job.directory.remove(job.temporaryName)
      throw error
    }
    progress.count { $0.others += 1 }
  }

  private func make(_ job: FileJob, _ target: [UInt8]) throws {
    guard job.attributes.type != .symbolicLink else {
      guard !target.isEmpty, !target.contains(0) else {
        throw Failure(.malformed, "its target is no path")
      }
      return try job.directory.makeLink(job.temporaryName, to: target)
    }
    do throws(Errno) {
      try job.directory.makeNode(
        job.temporaryName, mode: mode_t(job.attributes.mode), device: device(of: job))
    } catch {
      throw Failure(
        error == .notPermitted ? "only root can make a device" : "it cannot be made", cause: error)
    }
  }

  private func device(of job: FileJob) -> dev_t {
    gnu_dev_makedev(job.attributes.deviceMajor, job.attributes.deviceMinor)
  }

  private func isSameType(_ found: stat, _ job: FileJob) -> Bool {
    found.st_mode & S_IFMT == mode_t(job.attributes.mode) & S_IFMT
  }

  private func isSame(_ job: FileJob, _ target: [UInt8], _ entry: EntryAttributes) throws -> Bool {
    let found = try job.directory.handle(of: job.name)
    guard isSameType(found.status, job), entry.areThose(of: found) else { return false }
    switch job.attributes.type {
    case .symbolicLink: return found.target == target
    case .blockDevice, .characterDevice: return found.status.st_rdev == device(of: job)
    default: return true
    }
  }
}
