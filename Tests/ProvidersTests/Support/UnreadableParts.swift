import FrozenImage
import LogicalRepresentation

extension DescribedImage {
  /// The regular files whose entries can be read; a list that ends with an error ends there.
  func readableFiles() throws -> [File] {
    var files: [File] = []
    var directories = [File(path: [], node: representation.roots[0].node)]
    while let directory = directories.popLast() {
      var position: UInt64 = 0
      while let entry = try? representation.entry(at: position, of: directory.node) {
        position += 1
        let file = File(
          path: directory.path + [UInt8(ascii: "/")] + Array(entry.name), node: entry.node)
        if entry.type == .directory { directories.append(file) }
        let isThere = (try? representation.attributes(of: file.node)) != nil
        if entry.type == .regular, isThere { files.append(file) }
      }
    }
    return files
  }
}

extension Representation {
  /// Why parts could not be read, by path and part ("/d/f content").
  func unreadableReasons() throws -> [String: String] {
    var paths = UnreadablePaths(of: self)
    var reasons: [String: String] = [:]
    for index in 0..<unreadableCount {
      let part = try unreadablePart(at: index)
      let path = try paths.path(of: part).map { String(decoding: $0, as: UTF8.self) }
      reasons["\(path ?? "-") \(part.part)"] = part.reason
    }
    return reasons
  }
}
