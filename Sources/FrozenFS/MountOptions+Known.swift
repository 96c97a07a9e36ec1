extension MountOptions {
  /// Words that libfuse 3 and the kernel take for a mount that is not of a block device
  /// (mount.fuse3(8), mount(8)); some of them only in newer versions, and older ones say so.
  private static let flags: Set<String> = [
    "allow_other", "allow_root", "async", "atime", "auto_unmount", "debug", "default_permissions",
    "dev", "diratime", "dirsync", "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime",
    "nostrictatime", "nosuid", "nosymfollow", "relatime", "ro", "strictatime", "suid", "symfollow",
    "sync",
  ]
  /// Those with a value, after an equals sign; the last four are SELinux's.
  private static let settings: Set<Substring> = [
    "fsname", "context", "defcontext", "fscontext", "rootcontext",
  ]
  /// What floe settles with the kernel itself: with another value the mount fails, at the
  /// latest at its first request ("Protocol error"), or floe does not find it again.
  private static let own: Set<Substring> = [
    "blkdev", "blksize", "fd", "group_id", "max_read", "rootmode", "subtype", "user_id",
  ]

  /// - Throws: `MountError.option` for a word that no mount of floe takes.
  static func check(_ word: String) throws(MountError) {
    let name = word.prefix { $0 != "=" }
    if own.contains(name) {
      throw .option(word: word, reason: "floe settles this with the kernel itself")
    }
    guard name.endIndex == word.endIndex ? flags.contains(word) : settings.contains(name) else {
      throw .option(word: word, reason: "there is no such option; \(known)")
    }
  }

  /// What there is, floe's own first.
  private static let known =
    "known are medium=ID=PATH, remap-timeout=SECONDS and those of mount.fuse3(8), such as "
    + "allow_other, dev, suid, noexec, noatime and fsname=NAME"
}
