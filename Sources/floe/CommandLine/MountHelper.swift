import FrozenImage
import Glibc
import HostSystem
import ImageAccess

/// The program as mount(8) starts it.
///
/// `mount -t floe SOURCE MOUNTPOINT -o …` runs `/sbin/mount.floe SOURCE MOUNTPOINT [-sfnv]
/// [-o OPTIONS]`, and `mount -t fuse.floe`, by way of mount.fuse3(8), `floe SOURCE MOUNTPOINT
/// -o OPTIONS`.
enum MountHelper {
  /// The name under which mount(8) looks for the program.
  static let name = "mount.floe"
  /// What mount(8) takes for a mount that failed.
  static let failure: Int32 = 32
  /// What it takes for a wrong call; 64 would say that some of several mounts succeeded.
  static let wrongCall: Int32 = 1

  /// Whether mount(8) looks at the exit status.
  static func isMeant(by all: [String]) -> Bool {
    all.first?.split(separator: "/").last.map(String.init) == name
  }

  /// Letters that mount(8) gives a helper, together or each by itself.
  private static func isFlags(_ word: String) -> Bool {
    word.first == "-" && word.count > 1 && word.dropFirst().allSatisfy("sfnv".contains)
  }

  /// Whether mount(8) asks for all but the mount itself (`mount -f`).
  static func isFake(_ all: [String]) -> Bool {
    isMeant(by: all) && all.dropFirst(3).contains { isFlags($0) && $0.contains("f") }
  }

  /// The words as floe's own command line has them.
  static func arguments(from all: [String]) -> [String] {
    let arguments = Array(all.dropFirst())
    guard let first = arguments.first,
      isMeant(by: all) || ImageSource.isAddress(first) || first.hasPrefix("/")
    else { return arguments }
    var words: [String] = ["mount"]
    var rest = arguments[...]
    while let word = rest.popFirst() {
      switch word {
      case "-o": words += rest.popFirst().map(options) ?? ["-o"]
      // Sloppy, no mtab, verbose: nothing that would be done otherwise.
      case _ where isFlags(word): break
      // The type, when it says more than the helper's name.
      case "-t": rest = rest.dropFirst()
      default: words.append(word)
      }
    }
    return words
  }

  /// What /etc/fstab and mount(8) say where nothing was asked for, and what is for others.
  private static let defaults: Set<Substring> = ["rw", "dev", "suid", "exec", "silent", "loud"]
  /// Options of the command line that stand among those of `-o` in /etc/fstab, with a value.
  private static let settings: Set<Substring> = [
    "answers", "cache", "cache-limit", "config", "log-level", "media", "medium", "remap-timeout",
    "service", "view",
  ]
  private static let flags: Set<Substring> = ["no-verify"]

  /// - Parameter text: words with commas between them.
  private static func options(_ text: String) -> [String] {
    var own: [String] = []
    var others: [Substring] = []
    for word in text.split(separator: ",") where !defaults.contains(word) {
      let name = word.prefix { $0 != "=" }
      if flags.contains(word) {
        own.append("--\(word)")
      } else if settings.contains(name), name.endIndex != word.endIndex {
        own += ["--\(name)", String(word[name.endIndex...].dropFirst())]
      } else if !word.hasPrefix("x-"), !word.hasPrefix("X-"), name != "comment" {
        others.append(word)
      }
    }
    return own + (others.isEmpty ? [] : ["-o", others.joined(separator: ",")])
  }
}
