import CFileMap
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A run of a file's bytes and what the kernel says of their place.
struct FileRun: Hashable {
  enum Place: Hashable {
    /// Bytes from the start of the file system's device.
    case stored(UInt64)
    /// Allocated and never written.
    case unwritten
    /// Kept beside metadata, not in blocks of its own.
    case inline
    /// On the media in a form that is not the file's bytes.
    case encoded
  }

  /// Bytes from the start of the file, never empty.
  var range: Range<UInt64>
  let place: Place
}

/// Tells a file's runs, one after the other, holes left out.
///
/// FIEMAP (Documentation/filesystems/fiemap.rst) is asked page by page, each time with
/// FIEMAP_FLAG_SYNC, which writes delayed data back first and so gives it a place.
/// Neighbours that continue each other are joined: how the kernel cuts them depends on
/// what it has cached.
struct FileMap {
  private static let pageSize = 512
  /// Times that a page is asked for again because data has no place yet.
  private static let attempts = 5

  private let file: FileDescriptor
  private let end: UInt64
  /// Up to where runs are known.
  private var position: UInt64
  private var page: [FileRun] = []
  private var pageIndex = 0
  private var isComplete = false
  private var pending: FileRun?

  /// - Parameter range: clipped to the file's size by the caller.
  init(of file: FileDescriptor, in range: Range<UInt64>) {
    self.file = file
    position = range.lowerBound
    end = range.upperBound
  }

  /// The next run, cut to the range; `nil` after the last one.
  ///
  /// - Throws: `FileMapError`.
  mutating func next() throws(FileMapError) -> FileRun? {
    while true {
      if pageIndex < page.count {
        let run = page[pageIndex]
        pageIndex += 1
        if let before = pending {
          pending = before.joined(with: run)
          if pending != nil { continue }
          pending = run
          return before
        }
        pending = run
        continue
      }
      guard !isComplete, position < end else {
        defer { pending = nil }
        return pending
      }
      try turnPage()
    }
  }

  private mutating func turnPage() throws(FileMapError) {
    var extents = [cfilemap_extent](repeating: cfilemap_extent(), count: Self.pageSize)
    for attempt in 1...Self.attempts {
      let count = cfilemap_map(
        file.rawValue, position, end - position, &extents, Int32(Self.pageSize))
      guard count >= 0 else {
        let error = Errno(rawValue: errno)
        if error == .interrupted { continue }
        throw .failed(error)
      }
      let found = extents[..<min(Int(count), extents.count)]
      let restless = UInt32(cfilemap_delayed | cfilemap_unknown)
      guard found.contains(where: { $0.flags & restless != 0 }) else {
        try take(found)
        return
      }
      // Writeback of what was written a moment ago may still be under way.
      usleep(UInt32(attempt) * 10_000)
    }
    throw .isBeingWritten
  }

  private mutating func take(_ found: ArraySlice<cfilemap_extent>) throws(FileMapError) {
    page.removeAll(keepingCapacity: true)
    pageIndex = 0
    for extent in found {
      let (stop, overflow) = extent.logical.addingReportingOverflow(extent.length)
      let place = extent.place
      guard !overflow, !extent.physical.addingReportingOverflow(extent.length).overflow else {
        throw .malformed(extent.logical)
      }
      let range = max(extent.logical, position)..<max(min(stop, end), max(extent.logical, position))
      guard !range.isEmpty else { continue }
      page.append(
        FileRun(range: range, place: place.advanced(by: range.lowerBound - extent.logical)))
      position = range.upperBound
    }
    let isLast = found.last.map { $0.flags & UInt32(cfilemap_last) != 0 } ?? true
    // A page without anything new would be asked for again without end.
    isComplete = isLast || page.isEmpty
  }
}

extension FileRun {
  /// The two as one run; `nil` when the second does not continue the first.
  func joined(with next: FileRun) -> FileRun? {
    guard next.range.lowerBound == range.upperBound,
      place.advanced(by: range.upperBound - range.lowerBound) == next.place
    else { return nil }
    return FileRun(range: range.lowerBound..<next.range.upperBound, place: place)
  }
}

extension FileRun.Place {
  fileprivate func advanced(by count: UInt64) -> FileRun.Place {
    if case .stored(let offset) = self { .stored(offset &+ count) } else { self }
  }
}

extension cfilemap_extent {
  fileprivate var place: FileRun.Place {
    func has(_ flag: UInt32) -> Bool { flags & flag != 0 }
    if has(UInt32(cfilemap_encoded) | UInt32(cfilemap_encrypted)) {
      return .encoded
    }
    if has(UInt32(cfilemap_inline) | UInt32(cfilemap_tail)) { return .inline }
    if has(UInt32(cfilemap_unwritten)) { return .unwritten }
    return has(UInt32(cfilemap_not_aligned)) ? .encoded : .stored(physical)
  }
}

/// Why a file's place is not known.
enum FileMapError: CodedError, Hashable {
  /// Data still has no place after it was written back several times.
  case isBeingWritten
  case malformed(UInt64)
  case failed(Errno)

  var code: ErrorCode {
    switch self {
    case .isBeingWritten: .inUse
    case .malformed: .malformed
    case .failed(let error): error.code
    }
  }

  var description: String {
    switch self {
    case .isBeingWritten: "it is being written"
    case .malformed(let offset): "the kernel tells a malformed extent at byte \(offset)"
    case .failed(let error): "the kernel does not tell its extents: \(error)"
    }
  }
}
