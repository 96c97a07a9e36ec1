import Glibc
import HostSystem
import Testing

extension EndToEnd.Errors {
  /// A command line of floe, and what its one sentence says: what is wrong, and where.
  struct Wrong: CustomTestStringConvertible, Sendable {
    let words: [String]
    let says: [String]

    /// - Parameter command: words, separated by blanks.
    init(_ command: String, _ says: String...) {
      words = command.split(separator: " ").map(String.init)
      self.says = says
    }

    var testDescription: String { words.joined(separator: " ") }
  }

  private static let sourceForms = "SOURCE is ssh://[USER@]HOST/IMAGE"

  static let freezing = [
    Wrong("freeze nothing -o x.floe", "nothing: there is no such file or volume"),
    Wrong("freeze dangling -o x.floe", "dangling is a symbolic link that leads to nothing"),
    Wrong("freeze fifo -o x.floe", "fifo is neither a directory, nor a file, nor a block device"),
    Wrong("freeze /dev/null -o x.floe", "/dev/null is neither a directory"),
    Wrong("freeze empty -o x.floe", "/empty holds nothing that floe knows", "--assume-frozen"),
    Wrong("freeze text -o x.floe", "/text holds nothing that floe knows", "--assume-frozen"),
    Wrong("freeze /proc/version -o x.floe", "/proc/version is on proc", "no files on any storage"),
    Wrong("freeze /sys/kernel/notes -o x.floe", "/sys/kernel/notes is on sysfs", "no files on any"),
    Wrong("freeze directory -o x.floe", "/directory is on tmpfs", "memory"),
    Wrong("freeze directory:1 -o x.floe", "directory is a directory: it has no parts"),
    Wrong("freeze ext.img:1 -o x.floe", "/ext.img has no parts", "“1”"),
    Wrong("freeze disk.img:7 -o x.floe", "/disk.img has no partition 7", "there are: 1"),
    Wrong("freeze disk.img:1 -o x.floe", "disk.img:1: partition 1 (MBR) holds nothing"),
    Wrong("freeze ext.img --format qcow2 -o x.floe", "/ext.img is no qcow2 image"),
    Wrong("freeze no/group -o x.floe --pv nothing", "no/group", "/nothing: there is no such file"),
    Wrong("freeze no/group -o x.floe --pv ext.img", "no/group", "no volume group was found"),
    Wrong("freeze ext.img -o no/x.floe", "/no/x.floe cannot be made", "/no: No such file"),
    Wrong("freeze ext.img -o ok.floe", "/ok.floe is there already", "--force"),
    Wrong("freeze ext.img -o directory", "/directory is there and is no file"),
    Wrong("freeze ext.img -o dangling", "/dangling is a symbolic link, which is not followed"),
    Wrong("freeze ext.img -o /proc/x.floe", "no file can be made in /proc: No such file"),
    Wrong("freeze ext.img --name a/b --state state", "“a/b” cannot be an image's name"),
    Wrong("freeze ext.img --name a --state text", "text/images: Not a directory"),
    Wrong("freeze ext.img --name a --state /proc/x", "/proc/x: No such file or directory"),
    Wrong(
      "freeze ext.img --name a --state state -o x.floe --service nonsense",
      "--service: “nonsense” is not a source", "floe+unix:"),
  ]

  static let mounting = [
    Wrong("mount nothing mnt", "/nothing: No such file or directory", sourceForms),
    Wrong("mount directory mnt", "/directory is a directory", sourceForms),
    Wrong("mount fifo mnt", "/fifo is no file", sourceForms),
    Wrong("mount text mnt", "/text: this is not a representation"),
    Wrong("mount empty mnt", "/empty", "it is empty"),
    Wrong("mount cut.floe mnt", "/cut.floe: the representation should have", "and has 3000"),
    Wrong("mount ok.floe nothing", "the mount point nothing cannot be used: No such file"),
    Wrong("mount ok.floe text", "the mount point text is not a directory"),
    Wrong("mount ok.floe mnt --medium nonsense", "“nonsense” is not ID=PATH"),
    Wrong("mount ok.floe mnt --medium x=ext.img", "no medium x; its media are", "/ext.img"),
    Wrong("mount ok.floe mnt --media sda", "--media: “sda” is not a pattern of absolute paths"),
    Wrong("mount ok.floe mnt --config nothing", "nothing: No such file or directory"),
    // Limits that cannot be read are not none.
    Wrong("mount ok.floe mnt --config directory", "directory: Is a directory"),
    Wrong("mount ok.floe mnt --config text", "text, line 1: “some text” is not KEY = VALUE"),
    Wrong("mount ok.floe mnt --cache nothing", "ok.floe", "no file can be made in nothing"),
    Wrong("mount ok.floe mnt --cache text", "ok.floe", "made in text: Not a directory"),
    Wrong(
      "mount ok.floe mnt --service nonsense",
      "--service: “nonsense” is not the address of a service", "floe+unix:"),
    Wrong("mount floe+unix: mnt", "“floe+unix:” names no socket and no image", sourceForms),
    Wrong("mount floe+unix:text/a mnt", "/text is no socket of a service", sourceForms),
    Wrong("mount floe+unix:nothing/a mnt", "/nothing", "no service answers"),
    Wrong("mount floe://192.0.2.1/a mnt", "“192.0.2.1” is not a loopback address"),
    Wrong("mount floe://localhost:99999/a mnt", "“localhost:99999” has no port of 0 to 65535"),
    Wrong("mount floe://localhost:1/a mnt", "127.0.0.1:1", "Connection refused"),
    Wrong("mount floe://localhost/ mnt", "“floe://localhost/” names no image"),
    Wrong("umount nothing", "no image is mounted on nothing"),
    Wrong("status mnt", "no image is mounted on mnt"),
    Wrong("explain text 0", "text is not on a mount of floe"),
    Wrong("explain nothing 0", "nothing: No such file or directory"),
    Wrong("inspect ok.floe a/b", "the image “ok” has no file “a/b”"),
    Wrong("verify text", "/text: this is not a representation"),
    Wrong("verify ok.floe -o no/m.json", "no/m.json cannot be made: no: No such file"),
    Wrong("verify ok.floe -o m.json --sign-with nothing", "key nothing cannot be read: No such"),
    Wrong("verify ok.floe -o m.json --sign-with text", "text is no private key"),
    Wrong("images --state nothing", "no state directory nothing: No such file"),
    Wrong("jobs --state nothing", "no state directory nothing: No such file"),
    Wrong("images --state text", "text/images: Not a directory"),
    Wrong("thaw a --state state", "no image “a” in the state directory state"),
    Wrong("thaw a --state text", "text: Not a directory"),
    Wrong("serve --state text", "text/images: Not a directory"),
    Wrong("serve --state state --listen nonsense", "--listen: “nonsense” has no port"),
    Wrong("serve --state state --listen 192.0.2.1:1", "--listen: “192.0.2.1” is not a loopback"),
    Wrong("serve --state state --listen unix:no/x.sock", "no/x.sock: No such file or directory"),
    Wrong("serve --state state --listen unix:text", "text is there already and is not a socket"),
  ]

  /// A directory with what the command lines name.
  func places() throws -> Scratch {
    let scratch = try Scratch()
    let directory = scratch.path
    for name in ["directory", "mnt", "state"] { _ = try scratch.directory(name) }
    try writeFile("\(directory)/text", Array("some text\n".utf8))
    try writeFile("\(directory)/empty", [])
    #expect(mkfifo("\(directory)/fifo", 0o600) == 0)
    #expect(symlink("nowhere", "\(directory)/dangling") == 0)
    let disk = "\(directory)/disk.img"
    try run("truncate", ["-s", "9M", disk])
    try run("sh", ["-c", "echo start=2048, type=83 | sfdisk -q \(disk)"])
    _ = try Ext4Image.make(in: scratch, megabytes: 8, name: "ext.img") { _ in }
    try run(Floe.program, ["freeze", "\(directory)/ext.img", "-o", "\(directory)/ok.floe"])
    try writeFile("\(directory)/cut.floe", try readFile("\(directory)/ok.floe").prefix(3000))
    return scratch
  }

  @Test("One sentence says what is wrong, and where")
  func table() throws {
    let scratch = try places()
    let directory = scratch.path
    for wrong in Self.freezing + Self.mounting {
      let outcome = try attempt(
        "env", ["-C", directory, Floe.program] + wrong.words, seconds: 60)
      #expect(outcome.ending == .exited(1), "\(wrong.testDescription): \(outcome)")
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 1 && outcome.errors.hasPrefix("floe: "), "\(outcome)")
      for words in wrong.says {
        #expect(outcome.errors.contains(words), "\(wrong.testDescription): \(outcome.errors)")
      }
    }
    #expect(access("\(directory)/x.floe", F_OK) != 0 && !BackupHost.isMounted("\(directory)/mnt"))
  }

  @Test("A directory on a FUSE mount, or an overlay of it, is refused by its type")
  func madeUpDirectories() throws {
    let scratch = try Scratch()
    let disk = try Ext4Image.make(in: scratch, megabytes: 8) { try $0.writer.directory("d") }
    let file = "\(scratch.path)/x.floe"
    try run(Floe.program, ["freeze", disk, "-o", file])
    let shown = try scratch.directory("shown")
    try run(Floe.program, ["mount", file, shown])
    let overlay = try scratch.directory("overlay")
    let lower = try scratch.directory("lower")
    try run(
      "mount", ["-t", "overlay", "-o", "lowerdir=\(shown):\(lower)", "floe-e2e", overlay])
    for (directory, words) in [
      (shown, "is on fuse.floe, which shows an image that is frozen already"),
      ("\(shown)/d", "is on fuse.floe"),
      (overlay, "is on overlay, which shows directories of other file systems as one (lowerdir="),
    ] {
      let outcome = try attempt(
        Floe.program, ["freeze", directory, "-o", "\(scratch.path)/y.floe"])
      #expect(outcome.ending == .exited(1))
      #expect(outcome.errors.contains("\(directory) \(words)"), "\(outcome.errors)")
    }
    try run("umount", [overlay])
    try run(Floe.program, ["umount", shown])
  }
}
