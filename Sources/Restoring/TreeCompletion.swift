import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// The second walk of a restore, when all files are there: gives files their further names, and
/// directories their attributes, which come last because every new entry changes a directory's
/// times.
struct TreeCompletion: TreeVisitor {
  let representation: Representation
  let options: RestoreOptions
  let progress: RestoreProgress
  let destination: DestinationDirectory
  var links: LinkedNames

  mutating func enter(_ entry: PlacedEntry) -> DestinationDirectory? {
    guard !links.failedDirectories.contains(entry.node) else { return nil }
    do throws(Errno) {
      return try entry.directory.directory(entry.name)
    } catch {
      progress.fail(entry.path, error)
      return nil
    }
  }

  mutating func visit(_ entry: PlacedEntry) {
    guard let first = links.firsts[entry.node], !links.isFirst(entry) else { return }
    do {
      guard !progress.isMissing(entry.node) else {
        let name = first.components.map(\.text).joined(separator: "/")
        throw Failure(.failed, "it is another name of \(name), which could not be restored")
      }
      try link(entry, to: first)
    } catch {
      progress.fail(entry.path, error)
    }
  }

  private func link(_ entry: PlacedEntry, to first: LinkedNames.First) throws {
    guard let name = first.components.last else { return }
    var directory = destination
    for component in first.components.dropLast() {
      directory = try directory.directory(component)
    }
    let found = try entry.directory.status(of: entry.name)
    if let found, let own = try directory.status(of: name), found.st_dev == own.st_dev,
      found.st_ino == own.st_ino
    {
      return
    }
    try ExistingEntry.check(found, options)
    // As with a file, there is the old one or the new one at each moment.
    let temporary = entry.temporaryName(in: representation)
    try entry.directory.remove(temporary)
    try entry.directory.link(temporary, to: name, in: directory)
    do {
      try entry.directory.rename(temporary, to: entry.name, replacing: options.overwrites)
    } catch {
      try? entry.directory.remove(temporary)
      throw error
    }
    progress.count { $0.hardLinks += 1 }
  }

  mutating func leave(_ node: NodeIndex, _ directory: DestinationDirectory, path: String) {
    do {
      let attributes = try representation.attributes(of: node)
      let entry = EntryAttributes(of: node, attributes, in: representation)
      progress.note(entry.apply(to: try directory.handle(of: .itself)), of: path)
      if let problem = entry.problem { progress.fail(path, problem) }
    } catch {
      progress.fail(path, error)
    }
  }
}
