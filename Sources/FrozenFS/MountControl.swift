public import FrozenImage

/// Answers the mount's control attributes: extended attributes named "floe.…"
/// that no file has and no list shows, through which `floe status` and
/// `floe explain` talk to the process that serves a mount.
///
/// Only root and the user who mounted are answered. Calls come from libfuse's
/// threads, several at once.
public protocol MountControl: Sendable {
  /// The value of a control attribute of a node; `nil` when there is none by this name.
  func attribute(_ name: String, of node: NodeIndex) -> [UInt8]?
}
