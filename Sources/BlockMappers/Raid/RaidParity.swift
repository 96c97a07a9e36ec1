/// Where parity lies among the elements of an array's rows, by md's numbers of the layouts
/// (`ALGORITHM_…` in drivers/md/raid5.h; the arithmetic is that of `raid5_compute_sector` in
/// drivers/md/raid5.c). Which of two parities is which makes no difference for the data.
struct RaidParity: Hashable, Sendable {
  enum Rotation: UInt32, Sendable {
    case leftAsymmetric = 0
    case rightAsymmetric = 1
    case leftSymmetric = 2
    case rightSymmetric = 3
    /// On the first members.
    case first = 4
    /// On the last members.
    case last = 5
    // Of raid6 alone.
    case rotatingZeroRestart = 8
    case rotatingNRestart = 9
    case rotatingNContinue = 10
    // One parity as in raid5, the other on the last member.
    case leftAsymmetricAndLast = 16
    case rightAsymmetricAndLast = 17
    case leftSymmetricAndLast = 18
    case rightSymmetricAndLast = 19
    case firstAndLast = 20
  }

  private let rotation: Rotation
  /// Elements of a row that hold parity.
  let parityCount: Int

  /// - Parameters:
  ///   - level: 4, 5 or 6.
  ///   - layout: md's number.
  /// - Returns: `nil` for a layout that the level does not have.
  init?(level: Int, layout: UInt32) {
    // The kernel's raid4 has its parity on the last member, whatever the layout says.
    guard let rotation = level == 4 ? .last : Rotation(rawValue: layout) else { return nil }
    guard level == 6 || rotation.rawValue <= Rotation.last.rawValue else { return nil }
    self.rotation = rotation
    parityCount = level == 6 ? 2 : 1
  }

  /// Rows after which the layout repeats itself.
  func period(members: Int) -> Int {
    switch rotation {
    case .first, .last, .firstAndLast: 1
    case .leftAsymmetricAndLast, .rightAsymmetricAndLast, .leftSymmetricAndLast,
      .rightSymmetricAndLast:
      members - 1
    default: members
    }
  }

  /// The member that holds a data element.
  ///
  /// - Parameters:
  ///   - element: which of the row's data elements.
  ///   - row: from the start of the array.
  ///   - members: more than `parityCount`.
  func member(of element: Int, row: Int, members: Int) -> Int {
    let rotating = rotation.isBesideLast ? members - 1 : members
    let count = rotation.isBesideLast ? 1 : parityCount
    let forward = row % rotating
    let backward = rotating - 1 - forward
    switch rotation {
    case .first: return element + parityCount
    case .firstAndLast: return element + 1
    case .last: return element
    case .leftSymmetric, .leftSymmetricAndLast:
      return (backward + count + element) % rotating
    case .rightSymmetric, .rightSymmetricAndLast:
      return (forward + count + element) % rotating
    case .rotatingNContinue:
      // The second parity stands before the first.
      return (backward + 1 + element) % rotating
    case .leftAsymmetric, .leftAsymmetricAndLast:
      return Self.skipping(backward, count, in: rotating, element)
    case .rightAsymmetric, .rightAsymmetricAndLast, .rotatingZeroRestart:
      return Self.skipping(forward, count, in: rotating, element)
    case .rotatingNRestart:
      return Self.skipping(rotating - 1 - (row + 1) % rotating, count, in: rotating, element)
    }
  }

  /// Data elements in order, parity in between from a member on; where it does not fit, its
  /// second half stands first.
  private static func skipping(
    _ parity: Int, _ count: Int, in members: Int, _ element: Int
  ) -> Int {
    if count == 2, parity == members - 1 { return element + 1 }
    return element >= parity ? element + count : element
  }
}

extension RaidParity.Rotation {
  fileprivate var isBesideLast: Bool {
    switch self {
    case .leftAsymmetricAndLast, .rightAsymmetricAndLast, .leftSymmetricAndLast,
      .rightSymmetricAndLast:
      true
    default: false
    }
  }
}
