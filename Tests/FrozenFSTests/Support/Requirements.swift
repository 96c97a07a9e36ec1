import Glibc
import TestTags
import Testing

/// What the tests need of the machine, and what of it is missing here.
enum Requirements {
  static let missing: [String] = {
    var missing: [String] = []
    if geteuid() != 0 { missing.append("root (for mounts)") }
    if access("/dev/fuse", R_OK | W_OK) != 0 { missing.append("/dev/fuse") }
    for program in ["setpriv", "getfattr"]
    where access("/usr/bin/\(program)", X_OK) != 0 {
      missing.append("the program \(program)")
    }
    return missing
  }()

  /// In CI nothing may be skipped: there the tests run, and say what is missing by failing.
  static var testsRun: Bool {
    missing.isEmpty || getenv("CI").map { String(cString: $0) == "true" } ?? false
  }
}

/// Every test with a real mount. One at a time, since one of them sends the process a
/// signal that ends all its mounts.
@Suite(
  .tags(.needsRoot, .needsFUSE), .serialized,
  .enabled(
    if: Requirements.testsRun,
    "tests of mounts need \(Requirements.missing.joined(separator: ", "))"))
struct MountTests {
  @Test func requirementsAreThere() {
    #expect(Requirements.missing == [])
  }
}
