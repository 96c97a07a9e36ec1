/// How much of each section the scratch space holds.
struct WrittenCounts {
  var nodes: UInt64 = 0
  var placeholders: UInt64 = 0
  var entries: UInt64 = 0
  var extents: UInt64 = 0
  var compressedRuns: UInt64 = 0
  var extendedAttributes: UInt64 = 0
  var identities: UInt64 = 0
  /// Bytes.
  var checksums: UInt64 = 0
  /// Bytes.
  var heap: UInt64 = 0
}
