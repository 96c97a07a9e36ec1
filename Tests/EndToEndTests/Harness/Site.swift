/// A production host with a frozen image that it serves.
final class Site {
  static let image = "image"

  let scratch: Scratch
  let volume: Volume
  let production: ProductionHost
  /// The subvolume that was frozen.
  let source: String
  /// The read-only snapshot that holds the image's bytes: the reference.
  let snapshot: String

  /// - Parameter takesSnapshot: whether the test makes a read-only snapshot itself, so
  ///   that floe freezes that one.
  init(
    _ profile: Volume.Profile, megabytes: Int, takesSnapshot: Bool = false, serves: Bool = true,
    build: (Tree) throws -> Void
  ) throws {
    scratch = try Scratch()
    volume = try Volume(profile, in: scratch, megabytes: megabytes)
    production = try ProductionHost(in: scratch)
    source = "\(volume.mountpoint)/data"
    try run("btrfs", ["subvolume", "create", source])
    try build(Tree(source))
    if takesSnapshot {
      let taken = "\(volume.mountpoint)/taken"
      try run("btrfs", ["subvolume", "snapshot", "-r", source, taken])
      snapshot = try production.freeze(taken, name: Self.image)
    } else {
      snapshot = try production.freeze(source, name: Self.image)
    }
    try volume.sync()
    if serves { try production.serve() }
  }

  /// A site for tests that look at motion: a small tree.
  convenience init(small profile: Volume.Profile, megabytes: Int = 1024) throws {
    try self.init(profile, megabytes: megabytes) { try $0.buildSmall() }
  }

  func mount(options: [String] = [], name: String = "backup") throws -> BackupHost {
    try BackupHost(production, Self.image, volume, options: options, name: name)
  }

  func mover(_ work: String...) throws -> Mover { try Mover(volume, work: work) }

  /// A reader of a mount of the image that knows the right bytes.
  func verifier(_ backup: BackupHost) throws -> Verifier {
    try Verifier(reference: snapshot, mount: backup.mountpoint, files: Tree.smallFiles)
  }
}
