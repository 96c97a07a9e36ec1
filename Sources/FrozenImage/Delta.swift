/// A state of the mapping that the backup host knows, as the provider named it.
public struct MappingState: Hashable, Sendable {
  /// What the witness shows while this state holds.
  public let configurationID: ConfigurationID
  /// The provider's own note of what it needs to say later what changed since
  /// this state; only the provider reads it.
  public let cursor: [UInt8]
  /// What the media show besides the configuration ID while this state holds, and do not
  /// show when the ID comes back with another meaning; empty where nothing is known.
  public let marks: [StateMark]

  /// Of the marks the first `StateMark.maximumCount` are kept.
  public init(configurationID: ConfigurationID, cursor: [UInt8], marks: [StateMark] = []) {
    self.configurationID = configurationID
    self.cursor = cursor
    self.marks = Array(marks.prefix(StateMark.maximumCount))
  }
}

/// The two questions that a backup host asks, in one message: what may have
/// changed since a state, and where portions lie now.
///
/// They travel together so that the provider can answer both of one state. Two
/// messages would have to be matched, and on a volume that commits all the time
/// they might never match.
public struct MappingQuestion: Hashable, Sendable {
  /// The state that the backup host knows.
  public let known: MappingState
  /// The witness bytes that the backup host last found on each medium that it
  /// can read: the provider says which of those media are not the volume's
  /// present ones.
  public let found: ConfigurationID
  /// The portions that are about to be read and whose place is not known.
  public let portions: [Portion]
  /// The portions that were read and wait for this answer to be accepted. A provider
  /// that cannot tell everything that changed looks at these.
  public let validating: [Portion]

  public init(
    known: MappingState, found: ConfigurationID, portions: [Portion], validating: [Portion] = []
  ) {
    self.known = known
    self.found = found
    self.portions = portions
    self.validating = validating
  }
}

/// What may have changed, and where portions lie, as of one state.
public struct MappingAnswer: Hashable, Sendable {
  /// Most extents of located portions. Whoever answers leaves portions out beyond that.
  public static let maximumExtents = 262_144

  /// What may have changed since the state of the question.
  public enum Changes: Hashable, Sendable {
    /// The file ranges whose extents may differ: disjoint, ascending; empty when
    /// none does. On a volume that only questions validate, only the portions that
    /// the question validates are spoken of, as compared with the freeze.
    case ranges([Range<FileKey>])
    /// Any file's extents may differ.
    case everything
  }

  /// The run of keys around an asked portion for which the extents are told: every
  /// file byte in `keys` that no extent covers is a hole.
  public struct Located: Hashable, Sendable {
    /// From the first to behind the last; the asked portion lies inside.
    public let keys: Range<FileKey>
    /// In ascending order, without overlap, inside `keys`.
    public let extents: [Extent]

    public init(keys: Range<FileKey>, extents: [Extent]) {
      self.keys = keys
      self.extents = extents
    }
  }

  /// A file extent with the file that it belongs to.
  public struct Extent: Hashable, Sendable {
    /// The source's inode number of the file.
    public let inode: UInt64
    /// Where a run of the file's bytes comes from.
    public let extent: FileExtent

    public init(inode: UInt64, extent: FileExtent) {
      self.inode = inode
      self.extent = extent
    }
  }

  /// The stores and the media, when they may differ from those of the known state.
  public struct Volume: Hashable, Sendable {
    /// The whole chain from the stores to the media, not only what changed.
    public let map: StoreMap
    /// Every medium of the volume, not only new ones.
    public let media: [MediumDescription]
    /// Whether other maps may have held between the known state's and this one. What
    /// lies where it lay may have been away meanwhile, and its place used by others:
    /// equal places then prove nothing for reads that were under way.
    public let skipsStates: Bool

    public init(map: StoreMap, media: [MediumDescription], skipsStates: Bool = false) {
      self.map = map
      self.media = media
      self.skipsStates = skipsStates
    }

    public func hash(into hasher: inout Hasher) {
      hasher.combine(media)
    }
  }

  /// The state that the answer holds for. Its configuration ID was on the media
  /// before the provider looked, and everything told is durable under it.
  public let state: MappingState
  /// What reads that were under way have to fear.
  public let changes: Changes
  /// `nil` when stores and media are those of the known state.
  public let volume: Volume?
  /// Media of the question whose witness shows that they are not (or no longer)
  /// in step with the volume: what is read from them proves nothing.
  public let behind: Set<MediumID>
  /// One for each portion of the question whose place is durable and known, in
  /// the order of the question; a portion that is missing here is to be read
  /// through the production host or asked again.
  public let located: [Located]

  public init(
    state: MappingState, changes: Changes, volume: Volume?, behind: Set<MediumID>,
    located: [Located]
  ) {
    self.state = state
    self.changes = changes
    self.volume = volume
    self.behind = behind
    self.located = located
  }
}
