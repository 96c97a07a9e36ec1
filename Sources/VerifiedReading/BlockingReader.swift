public import FrozenImage
import Glibc
import HostSystem
public import ImageReader
public import Logging
public import LogicalRepresentation
import Synchronization
import SystemPackage

/// The blocking driver of the read rule: does what `ReadRule` says on the thread
/// that reads, and lets reads share their checks and questions.
public final class BlockingReader: FileReading {
  /// How a reader behaves.
  public struct Options: Sendable {
    /// How long, and how often, a read tries.
    public var limits = ReadRule.Limits()
    /// Whether data checksums are verified.
    public var verifiesChecksums = true
    /// Whether every copy of mirrored data is read and judged, not only the first that is
    /// good.
    public var readsEveryCopy = false

    public init() {}
  }

  /// The image.
  public let representation: Representation
  private let volume: VolumeDescription
  /// What it reads from.
  public let media: MediaTable
  let source: any ProductionHost
  let options: Options
  private let rule: Monitor<ReadRule>
  /// What reads use while nothing moves, and what such reads did.
  let quick: QuickReads
  let remaps: Mutex<RemapMemory>
  let complaints: Complaints
  let trace: ReadTrace
  let failures = ReadFailures()

  /// - Throws: what `MediaTable.open` throws for a medium that cannot be had, so
  ///   that nothing is read before every identity was verified.
  public init(
    representation: Representation, volume: VolumeDescription, media: MediaTable,
    source: any ProductionHost, options: Options, logger: Logger
  ) throws {
    self.representation = representation
    self.volume = volume
    self.media = media
    self.source = source
    self.options = options
    complaints = Complaints(logger: logger)
    trace = ReadTrace(logger: logger)
    let rule = ReadRule(
      state: volume.state, map: volume.map, media: volume.media, validation: volume.validation,
      limits: options.limits)
    self.rule = Monitor(rule)
    quick = QuickReads(rule)
    remaps = Mutex(RemapMemory(map: volume.map))
    try media.open(volume.media, of: volume.state.configurationID) {
      [rule = self.rule, quick] medium in
      rule.withLock { rule in
        let incarnation = rule.beginIncarnation(of: medium)
        quick.follow(rule)
        return incarnation
      }
    }
  }

  /// Changes the rule, or looks at it, with its lock held.
  func withRule<Result>(_ body: (inout ReadRule) -> Result) -> Result {
    rule.withLock { rule in
      defer { quick.follow(rule) }
      return body(&rule)
    }
  }

  /// Takes whether the media may be others than the production host's (`ReadRule.setDoubt`).
  public func setDoubt(_ isInDoubt: Bool) {
    withRule { $0.setDoubt(isInDoubt) }
    rule.notifyAll()
  }

  /// Bytes to which reads of a file are widened, so that whole blocks can be
  /// checked and direct reads are aligned.
  private var blockSize: UInt64 { UInt64(max(volume.checksumBlockSize, 4096)) }

  public func read(
    _ node: NodeIndex, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ReadError) -> Int {
    try read(node, at: offset, into: buffer, reporting: { _ in })
  }

  /// Reads as `read(_:at:into:)` does, and reports every copy that was found to be bad,
  /// also when another copy or the production host had the bytes.
  ///
  /// Reads are widened to whole blocks and compressed runs, so what is bad may lie just
  /// outside of what was asked for.
  public func read(
    _ node: NodeIndex, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
    reporting report: (BadCopy) -> Void
  ) throws(ReadError) -> Int {
    let attributes: NodeAttributes
    do throws(RepresentationError) {
      attributes = try representation.sourceAttributes(of: node)
    } catch {
      throw .unreadable("\(error)")
    }
    do throws(ReadError) {
      return try read(attributes, of: node, at: offset, into: buffer, reporting: report)
    } catch {
      let shown = (try? representation.inode(of: node)) ?? attributes.inode
      failures.note(error.description, inode: shown, offset: offset)
      throw error
    }
  }

  private func read(
    _ attributes: NodeAttributes, of node: NodeIndex, at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer, reporting report: (BadCopy) -> Void
  ) throws(ReadError) -> Int {
    guard offset < attributes.size else { return 0 }
    let count = Int(min(UInt64(buffer.count), attributes.size - offset))
    guard count > 0 else { return 0 }
    let start = offset - offset % blockSize
    let widened = (offset + UInt64(count) - start + blockSize - 1) / blockSize * blockSize
    let portion = Portion(inode: attributes.inode, range: start..<start + widened)
    if start == offset, widened <= UInt64(buffer.count) {
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(widened)])
      try read(portion, of: node, into: target, report)
    } else {
      let bounce = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Int(widened), alignment: 4096)
      defer { bounce.deallocate() }
      try read(portion, of: node, into: bounce, report)
      let skip = Int(offset - start)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bounce[skip..<skip + count]))
    }
    return count
  }

  private func read(
    _ portion: Portion, of node: NodeIndex, into buffer: UnsafeMutableRawBufferPointer,
    _ report: (BadCopy) -> Void
  ) throws(ReadError) {
    var fetch: PortionFetch
    do throws(RepresentationError) {
      fetch = try PortionFetch(
        portion: portion, node: node, buffer: buffer, representation: representation,
        media: media, source: source, options: options)
    } catch {
      throw .unreadable("\(error)")
    }
    guard var read = readQuickly(&fetch) else { return }
    var reported: Set<BadCopy> = []
    func reportBadCopies(_ note: (BadCopy) -> Void = { _ in }) {
      let new = fetch.badCopies.filter { reported.insert($0).inserted }
      guard !new.isEmpty else { return }
      let mismatches = new.count(where: \.isMismatch)
      withRule { $0.statistics.checksumMismatches += UInt64(mismatches) }
      for copy in new {
        note(copy)
        report(copy)
      }
    }
    while true {
      let step = step(&read)
      trace.note(step, of: portion)
      switch step {
      case .fetch(let plan):
        let isRemap = isRemap(plan, fetch)
        let outcome = fetch.run(plan, from: media.installed)
        withRule { rule in
          if isRemap { rule.statistics.remaps += 1 }
          rule.fetched(&read, outcome, from: fetch.readFrom, now: MonotonicClock.now())
        }
        probeInOutage()
      case .readThrough(let reason):
        if read.damage != nil { reportBadCopies() }
        complaints.note("reading through the production host: \(reason)", at: read, media)
        let error = fetch.readThrough()
        withRule { $0.readThrough(&read, failed: error, now: MonotonicClock.now()) }
        probeInOutage()
      case .check: check()
      case .ask(let question): ask(question)
      case .finished:
        reportBadCopies { complaints.note("another copy was read: \($0.reason)") }
        return
      case .failed(let error):
        complaints.note("\(error)", at: read, media)
        throw error
      case .pause: continue
      }
    }
  }

  /// The read's next step that is not waiting.
  private func step(_ read: inout PortionRead) -> ReadRule.Step {
    rule.wait { rule in
      defer { quick.follow(rule) }
      return switch rule.next(&read, now: MonotonicClock.now()) {
      case .pause(let time): .waitUntil(time)
      case let step: .done(step)
      }
    }
  }

  /// Runs a round of witness checks for everybody who waits for it.
  func check() {
    let (known, descriptions) = withRule { ($0.known, $0.media) }
    let findings = media.judge(media.check(descriptions), of: known, descriptions) {
      complaints.note($0)
    }
    withRule { $0.checked(findings) }
    rule.notifyAll()
    searchForLostMedia()
  }

  /// Asks the production host for everybody who waits for the answer.
  ///
  /// - Returns: why there was no answer.
  @discardableResult
  func ask(_ question: MappingQuestion) -> SourceError? {
    var failure: SourceError?
    let result: Result<MappingAnswer, SourceError>
    do throws(SourceError) {
      result = .success(try source.answer(question))
    } catch {
      result = .failure(error)
      failure = error
      complaints.note("\(error)")
    }
    withRule { $0.answered(result, to: question, now: MonotonicClock.now()) }
    rule.notifyAll()
    probeInOutage()
    searchForLostMedia()
    return failure
  }

  /// Begins to ask in the background when the production host gave no answer for a whole
  /// timeout, so that no read waits for it any more.
  private func probeInOutage() {
    guard withRule({ $0.beginProbing(now: MonotonicClock.now()) }) else { return }
    complaints.note(
      "the production host gave no answer for a whole timeout: reads that need one fail at once, "
        + "until it answers")
    do throws(Errno) {
      try Thread.detach { [weak self] in
        while let pause = self?.probe() { usleep(pause) }
      }
    } catch {
      // Reads ask by themselves again after a while.
      withRule { $0.endProbing() }
    }
  }

  /// Takes a probe's steps until it has to wait.
  ///
  /// - Returns: microseconds to wait; `nil` when there is nothing to probe any more.
  private func probe() -> UInt32? {
    while true {
      let now = MonotonicClock.now()
      switch withRule({ $0.nextProbe(now: now) }) {
      case .check: check()
      case .ask(let question): ask(question)
      case .pause(let until): return UInt32(clamping: (max(until, now) - now) / 1000 + 1)
      case .end: return nil
      }
    }
  }

  private func searchForLostMedia() {
    let (lost, known) = withRule { rule in
      let lost = rule.lost
      return (rule.media.filter { lost.contains($0.id) }, rule.known.configurationID)
    }
    for description in lost {
      complaints.note("\(description.label) cannot be used: \(media.failure(of: description.id))")
    }
    media.search(for: lost, as: known) { [rule] in rule.notifyAll() }
  }
}
