/// How an image is mounted.
public struct MountOptions: Sendable {
  /// What is mounted, as `mount` and `df` show it ("floe+unix:/run/floe.socket/home").
  public var source: String
  /// The words of `-o`, without the commas: libfuse's and mount(8)'s.
  public var fuseOptions: [String]

  public init(source: String, fuseOptions: [String] = []) {
    self.source = source
    self.fuseOptions = fuseOptions
  }

  /// Words that say something to mount(8) or to the init system only (mount(8),
  /// systemd.mount(5)); they may reach us from /etc/fstab.
  private static let ignored: Set<String> = [
    "defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group",
  ]

  /// The argument of libfuse's `-o`: the defaults, then the user's words, which win
  /// where they contradict.
  ///
  /// - Throws: `MountError.option` for a word that cannot be granted.
  func argument() throws(MountError) -> String {
    // Nobody but the user who mounts may come in (no `allow_other`). The image's top may
    // have lain in a directory that kept others out, and its own modes do not say so.
    var words = [
      "ro", "nosuid", "nodev", "default_permissions", "subtype=floe",
      "fsname=\(Self.escaped(source))",
    ]
    for word in fuseOptions where !word.isEmpty {
      if word == "rw" { throw .option(word: word, reason: "a frozen image is read-only") }
      if word.utf8.contains(0) { throw .option(word: word, reason: "a NUL is not allowed") }
      if Self.ignored.contains(word) || word.hasPrefix("x-") || word.hasPrefix("comment=") {
        continue
      }
      try Self.check(word)
      words.append(Self.escaped(word))
    }
    return words.joined(separator: ",")
  }

  /// Protects commas and backslashes, which libfuse reads as separator and escape.
  private static func escaped(_ word: String) -> String {
    var result = ""
    for character in word.unicodeScalars {
      if character == "," || character == "\\" { result.unicodeScalars.append("\\") }
      result.unicodeScalars.append(character)
    }
    return result
  }
}
