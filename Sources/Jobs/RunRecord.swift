import FrozenImage

/// What the history keeps of a run, and what `floe jobs` shows.
public struct RunRecord: Hashable, Sendable, Codable {
  /// How far a run is.
  public enum State: String, Hashable, Sendable, Codable {
    case waiting
    case running
    /// The job ended with status 0.
    case succeeded
    case failed
    case cancelled
    /// The agent ended in the middle.
    case lost
  }

  /// What became of one image.
  public struct Image: Hashable, Sendable, Codable {
    /// Its UUID.
    public let id: String
    /// What the job knows it by.
    public let label: String
    /// Of the job; `nil` until it has ended over this image, or when it was never started.
    public var exitStatus: Int32?
    /// Why it failed.
    public var reason: String?
    /// How often the job was started.
    public var attempts: UInt32 = 0
    /// What the mount counted.
    public var counts = ReadCounts()

    /// One that nothing was done with.
    public init(_ image: RunImage) {
      id = image.id.description
      label = image.label
    }
  }

  /// Its UUID.
  public let id: String
  /// The job's name.
  public let job: String
  /// The production host's name.
  public let host: String
  /// In the order of the request.
  public var images: [Image]
  /// How far it is.
  public var state: State
  /// When it was asked for, in seconds since 1970.
  public let asked: Int64
  /// When it began.
  public var began: Int64?
  /// When it ended.
  public var ended: Int64?
  /// The first that was not 0 of the job's exit statuses: 124 when its time was over, 128 and the
  /// signal when one ended it, 125 when an image could not be mounted or the job not started.
  public var exitStatus: Int32?
  /// Why it failed.
  public var reason: String?

  /// A run that waits.
  public init(_ request: RunRequest, asked: Int64) {
    id = request.id.description
    job = request.job
    host = request.host
    images = request.images.map(Image.init)
    state = .waiting
    self.asked = asked
  }

  /// Whether nothing will change any more.
  public var isOver: Bool { state != .waiting && state != .running }
}

/// What the mount of an image counted during a run.
public struct ReadCounts: Hashable, Sendable, Codable {
  /// Reads that were answered.
  public var reads: UInt64 = 0
  /// Reads that failed.
  public var failed: UInt64 = 0
  /// Bytes read from the storage.
  public var storageBytes: UInt64 = 0
  /// Bytes read through the production host.
  public var productionHostBytes: UInt64 = 0
  /// Bytes read from the representation.
  public var representationBytes: UInt64 = 0
  /// Portions whose place was found anew.
  public var remaps: UInt64 = 0
  /// Reads that were thrown away.
  public var discarded: UInt64 = 0

  public init() {}

  /// Those of several mounts.
  public static func + (one: ReadCounts, other: ReadCounts) -> ReadCounts {
    var sum = one
    sum.reads &+= other.reads
    sum.failed &+= other.failed
    sum.storageBytes &+= other.storageBytes
    sum.productionHostBytes &+= other.productionHostBytes
    sum.representationBytes &+= other.representationBytes
    sum.remaps &+= other.remaps
    sum.discarded &+= other.discarded
    return sum
  }
}
