package import ImageReader

/// The media of a simulated volume as the backup host has them open.
///
/// A medium that vanishes, or whose device turns out to be another one, comes back when it is
/// found again; to be told apart, each stay of it is an incarnation of its own.
package struct SimulatedMedia {
  /// What is behind an open medium.
  package enum Device: Sendable {
    case medium
    /// Another device, which holds neither the bytes nor the witness.
    case stranger
    /// Nothing: every read fails.
    case nothing
  }

  /// An open medium, and the incarnation that its driver knows it by.
  struct Installed {
    var device = Device.medium
    var incarnation: Incarnation
    /// Whether the driver noted its loss.
    var isLost = false
  }

  /// What the witness of a stranger shows.
  static let strangersGeneration: UInt64 = 0

  /// Whether media keep their incarnation, whatever becomes of them: a rule that does not
  /// compare them.
  var keepsIncarnations = false
  private(set) var installed: [Installed]

  /// Opens every medium.
  package init(for rule: inout ReadRule) {
    installed = SimulatedVolume.media.map { Installed(incarnation: rule.beginIncarnation(of: $0)) }
  }

  var areWhole: Bool { installed.allSatisfy { $0.device == .medium } }

  /// Something else is behind an open medium, and nobody is told.
  mutating func put(_ device: Device, at medium: Int) {
    installed[medium].device = device
  }

  /// The driver could not read a medium's witness.
  mutating func noteLoss(of medium: Int, in rule: inout ReadRule) {
    guard !installed[medium].isLost else { return }
    installed[medium].isLost = true
    begin(medium, in: &rule)
  }

  mutating func noteUse(of medium: Int) {
    installed[medium].isLost = false
  }

  /// The driver finds every medium that is not there, and opens it.
  mutating func find(in rule: inout ReadRule) {
    for medium in installed.indices where installed[medium].device != .medium {
      installed[medium].device = .medium
      installed[medium].isLost = false
      begin(medium, in: &rule)
    }
  }

  private mutating func begin(_ medium: Int, in rule: inout ReadRule) {
    guard !keepsIncarnations else { return }
    installed[medium].incarnation = rule.beginIncarnation(of: SimulatedVolume.media[medium])
  }
}
