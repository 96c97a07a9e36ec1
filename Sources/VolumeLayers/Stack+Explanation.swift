import FrozenImage

extension FoundStack {
  /// What is on top, then the chain from there down.
  package var explanation: [String] {
    guard let content else { return ["raw volume"] + stack.explanation }
    let label = content.label.isEmpty ? "" : " “\(content.label)”"
    return ["\(content.kind) file system\(label) \(content.id)"] + stack.explanation
  }
}

extension Stack {
  /// Most runs of a layer that are told one by one.
  private static let runLimit = 6

  /// The chain from the top down: a line for each layer, and one for each of its runs.
  public var explanation: [String] {
    var lines: [String] = []
    for layer in layers {
      switch layer.substance {
      case .medium:
        let places = witnessPlaces(on: layer).map(String.init).joined(separator: ", ")
        lines.append(
          "medium \(layer.title), \(layer.size) bytes, "
            + (places.isEmpty ? "no witness" : "witness at \(places)"))
      case .mapped(let map):
        lines.append("\(layer.title), \(layer.size) bytes, \(Self.count(map.runs.count, "run"))")
        lines += map.runs.prefix(Self.runLimit).map { "  \(Self.text(of: $0, in: map))" }
        if map.runs.count > Self.runLimit {
          lines.append("  … \(map.runs.count - Self.runLimit) more")
        }
      }
    }
    return lines
  }

  private static func count(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  private static func text(of run: LayerRun, in map: LayerMap) -> String {
    let range = "\(run.range.lowerBound)+\(run.range.upperBound - run.range.lowerBound)"
    switch run.content {
    case .zeros: return "\(range)  zeros"
    case .encoded: return "\(range)  encoded"
    case .below(let placement):
      let places = placement.targets.map { "\(map.lower[$0.layer].title) at \($0.offset)" }
      let state = placement.copyState == .inSync ? " in sync" : ""
      let mirrored = placement.copies == 1 ? "" : "\(placement.copies) copies\(state): "
      let spaced =
        placement.columnStep == placement.stripeLength
        ? "" : ", the next \(placement.columnStep) behind"
      let striped =
        placement.columns == 1
        ? "" : "\(placement.columns) stripes of \(placement.stripeLength) bytes\(spaced): "
      return "\(range)  \(striped)\(mirrored)\(places.joined(separator: ", "))"
    }
  }
}
