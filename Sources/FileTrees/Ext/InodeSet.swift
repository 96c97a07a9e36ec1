/// A set of inode numbers, one bit each; a piece of 1024 numbers without a member has none,
/// so that a file system which claims to be huge takes memory only for what is in it.
struct InodeSet {
  private typealias Piece = SIMD16<UInt64>
  /// Numbers in a piece.
  private static let pieceLength: UInt32 = 1024

  private var pieces: [UInt32: Piece] = [:]

  /// The pieces that have members, ascending.
  var pieceNumbers: [UInt32] { pieces.keys.sorted() }

  /// - Returns: `false` when the number was a member before.
  mutating func insert(_ number: UInt32) -> Bool {
    let (piece, index) = number.quotientAndRemainder(dividingBy: Self.pieceLength)
    let (word, bit) = (Int(index / 64), UInt64(1) << UInt64(index % 64))
    return withUnsafeMutablePointer(to: &pieces[piece, default: .zero]) { piece in
      guard piece.pointee[word] & bit == 0 else { return false }
      piece.pointee[word] |= bit
      return true
    }
  }

  func contains(_ number: UInt32) -> Bool {
    let (piece, index) = number.quotientAndRemainder(dividingBy: Self.pieceLength)
    return pieces[piece].map { $0[Int(index / 64)] >> UInt64(index % 64) & 1 == 1 } ?? false
  }

  /// The members in a piece, ascending.
  func members(ofPiece piece: UInt32) -> [UInt32] {
    guard let words = pieces[piece] else { return [] }
    var members: [UInt32] = []
    for index in words.indices {
      var rest = words[index]
      while rest != 0 {
        members.append(
          piece * Self.pieceLength + UInt32(index * 64 + rest.trailingZeroBitCount))
        rest &= rest - 1
      }
    }
    return members
  }
}
