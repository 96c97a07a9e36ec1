import TestTags
import Testing

extension EndToEnd {
  /// Cases in a guest that take long, and show what changes seldom.
  ///
  /// Not in the default run: `mount-scripts/test guest-at-length`.
  @Suite(
    "Guest at length", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsGuest, .slow),
    .serialized, .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [416, 256]))
  struct InGuestAtLength {
    /// What makes and compares file systems.
    let shared = InGuest()
  }
}
