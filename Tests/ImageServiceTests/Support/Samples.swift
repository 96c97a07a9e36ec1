import FrozenImage

extension MediumID {
  static func sample(_ number: UInt64) -> MediumID {
    MediumID(rawValue: UniqueIdentifier(high: 1, low: number))
  }
}

extension MappingState {
  static let sample = MappingState(
    configurationID: ConfigurationID(entries: [
      .init(medium: .sample(1), bytes: [1, 2, 3]), .init(medium: .sample(2), bytes: [4, 5]),
    ]), cursor: [9, 8, 7])

  /// With what only an answer tells.
  static let marked = MappingState(
    configurationID: sample.configurationID, cursor: sample.cursor,
    marks: [UInt64(0), 1 << 50].compactMap {
      StateMark(
        medium: .sample(1), offset: $0, bytes: Array(repeating: 7, count: StateMark.maximumLength))
    })
}

extension MappingQuestion {
  static let sample = MappingQuestion(
    known: .sample,
    found: ConfigurationID(entries: [.init(medium: .sample(1), bytes: [1, 2, 4])]),
    portions: [
      Portion(inode: 257, range: 0..<131_072),
      Portion(inode: .max, range: .max - 1 ..< .max),
    ])
}

extension MappingAnswer {
  /// A part of a compressed run that decodes to all that a run may.
  private static let compressed =
    CompressedRun(
      algorithm: .lzo64K, address: StoreAddress(store: StoreID(rawValue: 7), offset: 1 << 41),
      storedLength: 1 << 20, decodedLength: 1 << 20, offset: (1 << 20) - 4096
    ).map { FileExtent.Source.compressed($0) } ?? .encoded

  /// An answer with every kind of part, as large as wanted.
  static func sample(ranges: Int, extents: Int) -> MappingAnswer {
    let changed = (0..<UInt64(ranges)).map {
      FileKey(inode: $0, offset: 4096)..<FileKey(inode: $0, offset: 8192)
    }
    let kinds: [FileExtent.Source] = [
      .stored(StoreAddress(store: StoreID(rawValue: 7), offset: 1 << 40)), .unwritten,
      .inline(heapOffset: 77), .encoded, compressed,
    ]
    let run = (0..<UInt64(extents)).map { number in
      MappingAnswer.Extent(
        inode: 300,
        extent: FileExtent(
          offset: number * 8192, length: 4096, source: kinds[Int(number) % kinds.count]))
    }
    return MappingAnswer(
      state: .marked, changes: .ranges(changed), volume: try? .sample(), behind: [.sample(2)],
      located: [
        Located(
          keys: FileKey(inode: 300, offset: 0)..<FileKey(inode: 301, offset: 0), extents: run),
        Located(
          keys: FileKey(inode: 400, offset: 0)..<FileKey(inode: 400, offset: 4096), extents: []),
      ])
  }
}

extension MappingAnswer.Volume {
  static func sample() throws -> MappingAnswer.Volume {
    let first = StoreID(rawValue: 1)
    let second = StoreID(rawValue: 2)
    let top = StoreID(rawValue: 7)
    let probe = Probe(
      offset: 65536, length: 4096,
      fragments: [.init(offset: 32, length: 16), .init(offset: 64, length: 8)])
    guard let probe else { throw ChainError.malformedExtent(offset: 0) }
    let map = try StoreMap(
      stores: [
        first: .physical(.sample(1)), second: .physical(.sample(2)), top: .logical(label: "btrfs"),
      ],
      extents: [
        top: [
          try StoreExtent(
            offset: 1 << 40, length: 1 << 30, columns: 1, copies: 2, stripeLength: 65536,
            targets: [
              StoreAddress(store: first, offset: 1 << 20),
              StoreAddress(store: second, offset: 1 << 21),
            ], copyState: .inSync),
          try .linear(
            offset: 1 << 41, length: 1 << 30, target: StoreAddress(store: second, offset: 1 << 32)),
          try StoreExtent(
            offset: 1 << 42, length: 1 << 30, columns: 2, copies: 1, stripeLength: 65536,
            columnStep: 3 * 65536,
            targets: [
              StoreAddress(store: first, offset: 1 << 22),
              StoreAddress(store: second, offset: 1 << 23),
            ]),
        ]
      ])
    let media = [UInt64(1), 2].map { number in
      MediumDescription(
        id: .sample(number), label: "devid \(number)", size: 1 << 34, path: "/dev/sd\(number)",
        hardwareID: number == 1 ? "wwn-1" : "", identity: probe,
        identityBytes: [UInt8](repeating: UInt8(number), count: 24),
        witness: number == 1 ? probe : nil)
    }
    return MappingAnswer.Volume(map: map, media: media)
  }
}
