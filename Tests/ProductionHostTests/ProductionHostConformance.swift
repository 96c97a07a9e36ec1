import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import LogicalRepresentation
import Media
import Synchronization
import Testing

/// What a reader relies on, whoever answers.
@Suite(.serialized) struct ProductionHostConformance {
  /// Calls block, and no thread of Swift's pool may.
  private func with(
    _ implementation: Implementation,
    _ body: @escaping @Sendable (HostUnderTest) throws -> Void
  ) async throws {
    try await blocking { try body(implementation.make()) }
  }

  @Test(arguments: Implementation.all)
  func nothingChangedSinceTheStateThatWasTold(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      try image.host.liveCheck()
      let first = try image.host.answer(image.question())
      #expect(first.behind.isEmpty || image.hasMoved)
      #expect(first.located.isEmpty)
      #expect(!image.hasMoved || first.state != image.state)
      let second = try image.host.answer(image.question(since: first.state))
      #expect(second.behind.isEmpty || second.state != first.state)
      guard case .ranges(let changed) = second.changes else {
        Issue.record("everything changed")
        return
      }
      #expect(zip(changed, changed.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
      if second.state == first.state { #expect(second.volume == nil) }
      let media = Set(second.state.configurationID.entries.map(\.medium))
      #expect(media == Set(image.media.keys))
    }
  }

  @Test(arguments: Implementation.all)
  func placesHoldTheFrozenBytes(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      for (path, bytes) in FileTree.files where !bytes.isEmpty {
        let portion = Portion(inode: try image.inode(of: path), range: 0..<UInt64(bytes.count))
        let answer = try image.host.answer(image.question([portion]))
        #expect(try image.bytes(of: portion, path: path, by: answer) == bytes, "\(path)")
      }
    }
  }

  @Test(arguments: Implementation.all)
  func readsThroughTheHostAreTheFrozenBytes(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      for (path, bytes) in FileTree.files {
        let inode = try image.inode(of: path)
        for (offset, count) in [(0, bytes.count), (0, 1 << 21), (4095, 4098), (bytes.count, 10)] {
          let start = min(offset, bytes.count)
          let expected = Array(bytes[start...].prefix(count))
          #expect(
            try image.read(inode, at: UInt64(offset), count: count) == expected,
            "\(path), \(count) bytes at \(offset)")
        }
        #expect(try image.read(inode, at: 1 << 50, count: 10) == [])
        #expect(try image.read(inode, at: 0, count: 0) == [])
      }
    }
  }

  @Test(arguments: Implementation.all)
  func whatMakesNoSenseIsAnsweredOrRefused(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      let inode = try image.inode(of: "/long")
      // No file of the image, and no end of the image for that.
      let error = #expect(throws: SourceError.self) {
        try image.read(1 << 40, at: 0, count: 10)
      }
      if case .failed? = error {} else { Issue.record("\(error.map { "\($0)" } ?? "nothing")") }
      do throws(SourceError) {
        let behind = try image.read(inode, at: .max - 3, count: 10)
        #expect(behind.isEmpty)
      } catch {
        if case .failed = error {} else { Issue.record(error) }
      }
      let portions = [
        Portion(inode: 1 << 40, range: 0..<4096), Portion(inode: .max, range: .max - 1 ..< .max),
        Portion(inode: inode, range: .max - 1 ..< .max), Portion(inode: inode, range: 0 ..< .max),
      ]
      let answer = try image.host.answer(image.question(portions))
      #expect(answer.located.count <= portions.count)
      // A state of no volume: all that the volume is has to be told.
      let unknown = MappingState(
        configurationID: ConfigurationID(entries: [
          .init(medium: MediumID(rawValue: .random()), bytes: [1, 2, 3])
        ]), cursor: [1, 2, 3])
      let whole = try image.host.answer(image.question(since: unknown))
      #expect(Set(try #require(whole.volume).media.map(\.id)) == Set(image.media.keys))
      try image.host.liveCheck()
    }
  }

  @Test(arguments: Implementation.all)
  func aMediumThatShowsAnotherWitnessIsBehind(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      let seen = image.state.configurationID.entries.map { entry in
        ConfigurationID.Entry(medium: entry.medium, bytes: entry.bytes.map { ~$0 })
      }
      let answer = try image.host.answer(
        MappingQuestion(
          known: image.state, found: ConfigurationID(entries: seen), portions: []))
      #expect(answer.behind == (image.hasMediaOfReader ? [] : Set(seen.map(\.medium))))
    }
  }

  @Test(arguments: Implementation.all)
  func manyMayAskAtOnce(_ implementation: Implementation) async throws {
    let image = try await blocking { try implementation.make() }
    let inode = try image.inode(of: "/long")
    let bytes = FileTree.files.first { $0.path == "/long" }?.bytes ?? []
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<16 {
        group.addTask {
          try await blocking {
            for round in 0..<8 {
              let offset = (number * 8 + round) * 1024
              let expected = Array(bytes[offset...].prefix(5000))
              #expect(try image.read(inode, at: UInt64(offset), count: 5000) == expected)
              let portion = Portion(inode: inode, range: 0..<4096)
              _ = try image.host.answer(image.question([portion]))
              try image.host.liveCheck()
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test(arguments: Implementation.all)
  func afterAThawEveryCallSaysSo(_ implementation: Implementation) async throws {
    try await with(implementation) { image in
      let inode = try image.inode(of: "/short")
      #expect(try image.read(inode, at: 0, count: 4) == Array("some".utf8))
      try image.thaw()
      for call in [
        { try image.host.liveCheck() }, { _ = try image.host.answer(image.question()) },
        { _ = try image.read(inode, at: 0, count: 4) },
      ] as [() throws -> Void] {
        #expect {
          try call()
        } throws: { error in
          if case SourceError.thawed = error { true } else { false }
        }
      }
    }
  }
}

extension HostUnderTest {
  /// Reads through the host.
  func read(_ inode: UInt64, at offset: UInt64, count: Int) throws(SourceError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { buffer.deallocate() }
    let got = try host.read(inode: inode, offset: offset, into: buffer)
    return Array(buffer.prefix(got))
  }

  /// Reads a portion straight from the media, where an answer says that it lies.
  func bytes(of portion: Portion, path: String, by answer: MappingAnswer) throws -> [UInt8] {
    let map = answer.volume?.map ?? representation.volumes[0].map
    var bytes = [UInt8](repeating: 0, count: portion.range.count)
    for extent in try extents(of: portion, path: path, by: answer) {
      guard let piece = extent.clipped(to: portion.range) else { continue }
      let start = Int(piece.offset)
      switch piece.source {
      case .unwritten: break
      case .stored(let address):
        for run in try map.resolve(address, length: piece.length) {
          let place = try #require(run.copies.first)
          let medium = try OpenMedium(path: #require(media[place.medium]))
          try bytes.withUnsafeMutableBytes { all in
            let first = start + Int(run.position)
            try medium.read(
              into: UnsafeMutableRawBufferPointer(rebasing: all[first..<first + Int(run.length)]),
              at: place.offset)
          }
        }
      case .inline, .encoded, .compressed, .unreadable:
        let read = try read(portion.inode, at: piece.offset, count: Int(piece.length))
        bytes.replaceSubrange(start..<start + read.count, with: read)
      }
    }
    return bytes
  }

  /// Those of the answer, else those of the freeze, of which the answer must not say that
  /// they changed.
  private func extents(
    of portion: Portion, path: String, by answer: MappingAnswer
  ) throws -> [FileExtent] {
    if let located = answer.located.first {
      #expect(located.keys.contains(portion.keys.lowerBound))
      #expect(
        zip(located.extents, located.extents.dropFirst()).allSatisfy { one, next in
          one.inode < next.inode || one.inode == next.inode && one.extent.end <= next.extent.offset
        })
      return located.extents.filter { $0.inode == portion.inode }.map(\.extent)
    }
    guard case .ranges(let changed) = answer.changes else {
      throw Failure(.failed, "everything changed")
    }
    #expect(!changed.contains { $0.overlaps(portion.keys) })
    return try representation.extents(
      of: representation.node(at: path, below: representation.roots[0].node), in: portion.range)
  }
}
