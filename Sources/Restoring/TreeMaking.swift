import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage

/// The first walk of a restore: makes directories and what is no regular file, and hands out
/// the regular files.
struct TreeMaking: TreeVisitor {
  let representation: Representation
  let options: RestoreOptions
  let progress: RestoreProgress
  /// Takes a file; `false` when no more are taken.
  let handOut: (FileJob) -> Bool
  /// What the second walk has to know.
  private(set) var links = LinkedNames()

  mutating func enter(_ entry: PlacedEntry) -> DestinationDirectory? {
    do {
      // Of one that could not be read nothing is there, rather than an empty directory.
      _ = try representation.attributes(of: entry.node)
      let found = try entry.directory.status(of: entry.name)
      if found.map({ $0.st_mode & S_IFMT != S_IFDIR }) ?? true {
        try ExistingEntry.check(found, options)
        if found != nil { try entry.directory.remove(entry.name) }
        try entry.directory.makeDirectory(entry.name)
      } else if !options.resumes, !options.overwrites {
        throw Failure(.exists, "a directory is there, which is left alone")
      }
      let directory = try entry.directory.directory(entry.name)
      progress.count { $0.directories += 1 }
      return directory
    } catch {
      links.failedDirectories.insert(entry.node)
      progress.fail(entry.path, error)
      return nil
    }
  }

  mutating func visit(_ entry: PlacedEntry) {
    do {
      let attributes = try representation.attributes(of: entry.node)
      if attributes.links > 1, !links.isFirst(entry) { return }
      let job = FileJob(
        node: entry.node, attributes: attributes, directory: entry.directory, name: entry.name,
        temporaryName: entry.temporaryName(in: representation), path: entry.path)
      guard attributes.type != .regular else {
        _ = handOut(job)
        return
      }
      try SpecialFiles(representation: representation, options: options, progress: progress)
        .restore(job)
    } catch {
      progress.noteMissing(entry.node)
      progress.fail(entry.path, error)
    }
  }

  mutating func leave(_ node: NodeIndex, _ directory: DestinationDirectory, path: String) {}
}

extension PlacedEntry {
  /// The name of a file until it is whole. It is the same when the restore is begun again, so
  /// that the rest of an interrupted one is replaced; and it is none that the image has there.
  func temporaryName(in representation: Representation) -> EntryName {
    var bytes = Array(".floe-restore-\(String(node.rawValue, radix: 16))".utf8)
    while let place = place,
      bytes.withUnsafeBytes({ (try? representation.lookup($0, in: place.directory)) ?? nil }) != nil
    {
      bytes.append(UInt8(ascii: "~"))
    }
    return EntryName(bytes) ?? name
  }
}

/// The files that have several names, and the name under which each is made.
struct LinkedNames {
  /// A name, from the destination down.
  struct First {
    let place: PlacedEntry.Place?
    let components: [EntryName]
  }

  private(set) var firsts: [NodeIndex: First] = [:]
  /// Directories that could not be made: nothing below them is tried.
  var failedDirectories: Set<NodeIndex> = []

  /// Whether an entry is the first name of its file; notes the first one.
  mutating func isFirst(_ entry: PlacedEntry) -> Bool {
    if let first = firsts[entry.node] {
      return first.place == entry.place && first.components == entry.components
    }
    firsts[entry.node] = First(place: entry.place, components: entry.components)
    return true
  }
}
