public import FrozenImage

/// Tells whether a portion lies elsewhere than when it was last read, so that a remap is
/// counted only when the mapping really differs.
///
/// It is no part of the rule: a driver asks it about each plan, without the rule's lock.
public struct RemapMemory: Sendable {
  /// Most portions that are remembered; past that all are forgotten.
  static let limit = 65536

  /// The map of the representation, which says where everything lay at first.
  private let map: StoreMap
  /// Digests of the places where portions lay when they were last read.
  private var lastPlaces: [Portion: Int] = [:]

  /// - Parameter map: the map of the representation.
  public init(map: StoreMap) {
    self.map = map
  }

  /// Whether the plan's places differ from those of the last plan of the portion.
  public mutating func isRemap(
    _ plan: ReadPlan, of portion: Portion, content: PortionContent
  ) -> Bool {
    guard !plan.stored.isEmpty, plan.mayHaveMoved else { return false }
    let places = Self.digest(of: plan)
    if lastPlaces.count >= Self.limit { lastPlaces = [:] }
    let last = lastPlaces.updateValue(places, forKey: portion)
    return places != last ?? firstPlaces(of: portion, content)
  }

  private func firstPlaces(of portion: Portion, _ content: PortionContent) -> Int {
    var planner = Planner(
      portion: portion, content: content, map: map, lost: [], mapIsNew: false)
    return Self.digest(of: planner.plan(with: Overlay()))
  }

  private static func digest(of plan: ReadPlan?) -> Int {
    var hasher = Hasher()
    hasher.combine(plan?.places)
    return hasher.finalize()
  }
}
