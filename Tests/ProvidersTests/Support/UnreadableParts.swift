import FrozenImage
import LogicalRepresentation

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
