/// How full the place is that a snapshot needs to stay whole.
public struct SnapshotFill: Hashable, Sendable {
  /// What fills up, for people ("the snapshot vg/floe-…", "the thin pool vg/pool").
  public let title: String
  /// Percent of its room for data, from 0 to 100; more when it overflowed.
  public let data: Double
  /// Percent of its room for metadata; `nil` where both share one room.
  public let metadata: Double?
  /// What to do before it is full: one sentence.
  public let advice: String

  /// What is no percentage counts as nothing: it may come from another host.
  public init(title: String, data: Double, metadata: Double? = nil, advice: String) {
    self.title = title
    self.data = Self.bounded(data)
    self.metadata = metadata.map(Self.bounded)
    self.advice = advice
  }

  private static func bounded(_ percent: Double) -> Double {
    percent.isFinite ? min(max(percent, 0), 1000) : 0
  }

  /// Of the room that is fuller.
  public var percent: Double { max(data, metadata ?? 0) }

  /// Percent from which on it is time to do something, and from which on there is hardly any
  /// left.
  public static let levels: [Double] = [80, 95]

  /// How many of the levels it has reached.
  public var level: Int { Self.levels.count { percent >= $0 } }

  /// What is so.
  public var state: String {
    "\(title) is full to \(Int(data)) %" + (metadata.map { ", its metadata to \(Int($0)) %" } ?? "")
  }

  /// What is so, and from the first level on what to do.
  public var sentence: String { level == 0 ? state : "\(state): \(advice)" }
}
