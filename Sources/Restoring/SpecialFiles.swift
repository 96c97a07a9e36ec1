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
    if let found = try job.directory.status(of: job.name) {
      if options.resumes, isSame(found, job, target) {
        progress.note(try entry.apply(to: job.name, in: job.directory))
        return
      }
      try ExistingEntry.check(found, options)
    }
    do {
      try job.directory.remove(job.temporaryName)
      try make(job, target)
      progress.note(try entry.apply(to: job.temporaryName, in: job.directory))
      try job.directory.rename(job.temporaryName, to: job.name, replacing: options.overwrites)
    } catch {
      try? job.directory.remove(job.temporaryName)
      throw error
    }
    progress.count { $0.others += 1 }
    if let problem = entry.problem { progress.fail(job.path, problem) }
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

  private func isSame(_ found: stat, _ job: FileJob, _ target: [UInt8]) -> Bool {
    guard found.st_mode & S_IFMT == mode_t(job.attributes.mode) & S_IFMT else { return false }
    switch job.attributes.type {
    case .symbolicLink: return job.directory.target(of: job.name) == target
    case .blockDevice, .characterDevice: return found.st_rdev == device(of: job)
    default: return true
    }
  }
}

extension DestinationDirectory {
  /// Where a symbolic link leads; `nil` when it cannot be read.
  fileprivate func target(of name: EntryName) -> [UInt8]? {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let count = withPath(of: name) { readlink($0, &target, target.count) }
    guard count >= 0, count < target.count else { return nil }
    return target.prefix(count).map { UInt8(bitPattern: $0) }
  }
}
