public import FrozenImage

// Which device a byte came from
// =============================
// A medium of the image is read through a device that the driver has open for it. While a
// read is at work that device may be lost, and the medium may be found again, perhaps in
// another device. A witness check looks at what is there by then, and says nothing of bytes
// that came from what was there before. So a medium begins a new incarnation whenever the
// driver opens, replaces or loses it. Fetches and checks report the incarnations that they
// used, and a read is accepted only while all of them are installed.

/// One stay of a medium in its place: from when the driver opened it until it was replaced
/// or lost.
public struct Incarnation: Hashable, Sendable {
  /// Counts the incarnations of all media of a volume, from 1 on.
  let number: UInt64
}

/// The incarnations that are installed now.
struct Incarnations: Sendable {
  private var installed: [MediumID: Incarnation] = [:]
  private var last: UInt64 = 0

  subscript(medium: MediumID) -> Incarnation? { installed[medium] }

  mutating func begin(_ medium: MediumID) -> Incarnation {
    last += 1
    let incarnation = Incarnation(number: last)
    installed[medium] = incarnation
    return incarnation
  }

  /// Whether incarnations that were used are all installed now.
  func include(_ used: [MediumID: Incarnation]) -> Bool {
    used.allSatisfy { installed[$0] == $1 }
  }
}

extension ReadRule {
  /// Begins a new incarnation of a medium.
  ///
  /// The driver calls it whenever it has opened the medium, put another device in its place,
  /// or lost it. A fetch or a check that uses the device from then on, and none that used
  /// the one before, reports what this returns.
  public mutating func beginIncarnation(of medium: MediumID) -> Incarnation {
    endEpoch()
    return witness.beginIncarnation(of: medium)
  }

  /// The incarnation of a medium that is installed now; `nil` for one that was never opened.
  public func incarnation(of medium: MediumID) -> Incarnation? {
    witness.incarnations[medium]
  }
}
