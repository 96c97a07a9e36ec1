import TestTags
import Testing

extension EndToEnd {
  /// Whether these tests could see a stale read at all.
  @Suite("Witness", .tags(.needsRoot, .needsLoopDevices, .slow))
  struct Witness {
    /// Reads the image's files until wrong bytes came or the mover has turned often.
    private func wrongPieces(_ image: InProcessImage, _ mover: Mover) throws -> Int {
      let files = try ["storage/no-checksums/fragmented", "storage/fragmented"].map {
        (node: try image.node($0), bytes: try readFile("\(image.snapshot)/\($0)"))
      }
      let piece = 64 << 10
      var wrong = 0
      while wrong == 0, mover.turns(of: "balance") < 8 || mover.turns(of: "rewrite") < 12 {
        for file in files {
          for start in stride(from: 0, to: file.bytes.count, by: piece) {
            let expected = file.bytes[start..<min(start + piece, file.bytes.count)]
            let read = try image.read(file.node, at: start, count: expected.count)
            if read[...] != expected { wrong += 1 }
          }
        }
      }
      return wrong
    }

    private func wrongPieces(checksWitness: Bool) throws -> (wrong: Int, remaps: UInt64) {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 1024)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()
      let image = try InProcessImage(volume, subvolume: source, checksWitness: checksWitness)
      let mover = try Mover(volume)
      let wrong = try wrongPieces(image, mover)
      try mover.stop()
      return (wrong, image.remaps)
    }

    @Test("With the witness check, the reader returns no wrong byte")
    func checked() throws {
      let result = try wrongPieces(checksWitness: true)
      #expect(result.wrong == 0)
      #expect(result.remaps > 0)
    }

    @Test("With the witness check switched off, the same reader returns wrong bytes")
    func unchecked() throws {
      let result = try wrongPieces(checksWitness: false)
      #expect(result.wrong > 0)
      #expect(result.remaps == 0)
    }

    /// The same of a logical volume: reads a file until wrong bytes came or the mover has
    /// turned often.
    private func wrongPiecesOfVolume(
      checksWitness: Bool, asksStorage: Bool = false
    ) throws -> (wrong: Int, remaps: UInt64) {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.random("file", bytes: 40 << 20)
      }
      let reference = try Ext4Image.reference(content, in: scratch)
      let volume = try LogicalVolume(in: scratch, content: content, megabytes: 64)
      let image = try InProcessImage(
        volume, checksWitness: checksWitness, asksStorage: asksStorage)
      let node = try image.node("file")
      let bytes = try readFile("\(reference)/file")
      let mover = try volume.mover()
      let piece = 64 << 10
      var wrong = 0
      while wrong == 0, mover.turns(of: "move") < 100 {
        for start in stride(from: 0, to: bytes.count, by: piece) {
          let expected = bytes[start..<min(start + piece, bytes.count)]
          if try image.read(node, at: start, count: expected.count)[...] != expected { wrong += 1 }
        }
      }
      try mover.stop()
      return (wrong, image.remaps)
    }

    @Test("With the witness check, the reader of a logical volume returns no wrong byte")
    func checkedVolume() throws {
      let result = try wrongPiecesOfVolume(checksWitness: true)
      #expect(result.wrong == 0)
      #expect(result.remaps > 0)
    }

    @Test("With answers of the storage itself, the same is so of a logical volume")
    func storageAnswers() throws {
      let result = try wrongPiecesOfVolume(checksWitness: true, asksStorage: true)
      #expect(result.wrong == 0)
      #expect(result.remaps > 0)
      let blind = try wrongPiecesOfVolume(checksWitness: false, asksStorage: true)
      #expect(blind.wrong > 0)
      #expect(blind.remaps == 0)
    }

    @Test("With it switched off, the same reader of a logical volume returns wrong bytes")
    func uncheckedVolume() throws {
      let result = try wrongPiecesOfVolume(checksWitness: false)
      #expect(result.wrong > 0)
      #expect(result.remaps == 0)
    }
  }
}
