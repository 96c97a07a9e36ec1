import FrozenImage
import HostSystem
import LogicalRepresentation

/// An entry of an image and the place that it has in the destination.
struct PlacedEntry {
  let node: NodeIndex
  let type: FileType
  let name: EntryName
  /// The open directory of the destination that holds it, or will.
  let directory: DestinationDirectory
  /// The directory of the image that holds it, and where in it; `nil` for what the user named.
  let place: Place?
  /// From the destination down.
  let components: [EntryName]

  struct Place: Hashable {
    let directory: NodeIndex
    let position: UInt64
  }

  /// Below the destination (`PathText`).
  var path: String { components.map(\.text).joined(separator: "/") }
}

/// What is done with each entry of a descent.
protocol TreeVisitor {
  /// - Returns: the directory, opened; `nil` when nothing below it is wanted.
  mutating func enter(_ entry: PlacedEntry) -> DestinationDirectory?
  /// Takes what is no directory.
  mutating func visit(_ entry: PlacedEntry)
  /// Called once all below a directory was seen.
  mutating func leave(_ node: NodeIndex, _ directory: DestinationDirectory, path: String)
}

/// Walks directories of an image and those of the destination together, in depth, so that no
/// more directories are open than lie above each other.
struct TreeDescent {
  private struct Frame {
    let node: NodeIndex
    let directory: DestinationDirectory
    let components: [EntryName]
    var position: UInt64 = 0

    var path: String { components.map(\.text).joined(separator: "/") }
  }

  let representation: Representation
  let progress: RestoreProgress
  /// Whether what cannot be read is noted: in one of several walks.
  let notesFailures: Bool

  /// Walks what the user named.
  func run(
    _ part: RestorePart, in destination: DestinationDirectory, _ visitor: inout some TreeVisitor
  ) {
    guard let name = part.name else {
      return walk(Frame(node: part.node, directory: destination, components: []), &visitor)
    }
    let entry = PlacedEntry(
      node: part.node, type: part.type, name: name, directory: destination, place: nil,
      components: [name])
    take(entry, &visitor).map { walk($0, &visitor) }
  }

  /// - Returns: what is to be walked next.
  private func take(_ entry: PlacedEntry, _ visitor: inout some TreeVisitor) -> Frame? {
    guard entry.type == .directory else {
      visitor.visit(entry)
      return nil
    }
    return visitor.enter(entry).map {
      Frame(node: entry.node, directory: $0, components: entry.components)
    }
  }

  private func walk(_ top: Frame, _ visitor: inout some TreeVisitor) {
    var frames = [top]
    while var frame = frames.popLast() {
      guard progress.end == nil else { return }
      guard let entry = next(of: &frame) else {
        visitor.leave(frame.node, frame.directory, path: frame.path)
        continue
      }
      frames.append(frame)
      guard let entry = entry.placed else { continue }
      if let below = take(entry, &visitor) { frames.append(below) }
    }
  }

  private struct Found {
    /// `nil` for one that cannot be placed.
    let placed: PlacedEntry?
  }

  /// - Returns: `nil` at the end of the directory, also at an end that should not be one.
  private func next(of frame: inout Frame) -> Found? {
    do throws(RepresentationError) {
      guard let entry = try representation.entry(at: frame.position, of: frame.node) else {
        return nil
      }
      let place = PlacedEntry.Place(directory: frame.node, position: frame.position)
      frame.position += 1
      guard let name = EntryName(entry.name) else {
        let text = frame.path + "/" + PathText.text(of: entry.name)
        fail(text, Failure(.malformed, "such a name leads out of its directory"))
        return Found(placed: nil)
      }
      return Found(
        placed: PlacedEntry(
          node: entry.node, type: entry.type, name: name, directory: frame.directory,
          place: place, components: frame.components + [name]))
    } catch {
      fail(frame.path, error)
      return nil
    }
  }

  private func fail(_ path: String, _ error: any Error) {
    if notesFailures { progress.fail(path, error) }
  }
}
