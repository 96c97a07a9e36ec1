import FrozenImage
import Glibc
import SystemPackage
import Testing

@testable import HostSystem

/// What shows that this very host's floe wrote a file, and what does not.
@Suite struct OriginMarkTests {
  private let directory: String
  /// The name of the attribute that who runs the tests sets.
  private var attribute: String { (geteuid() == 0 ? "trusted" : "user") + ".floe.origin" }

  init() throws {
    var template = Array("/tmp/floe-origin-XXXXXX".utf8CString)
    directory = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  private func removeDirectory() {
    _ = ChildProcess.run("rm", ["rm", "-rf", directory])
  }

  private func run(_ script: String) {
    #expect(ChildProcess.run("sh", ["sh", "-ec", "cd \(directory)\n\(script)"]) == 0, "\(script)")
  }

  /// A file as floe writes representations.
  private func writeMarked(_ name: String) throws -> FilePath {
    let path = FilePath("\(directory)/\(name)")
    let file = try NamelessFile(in: FilePath(directory))
    Array("12345".utf8).withUnsafeBytes { bytes in
      #expect(throws: Never.self) { try file.write(bytes, at: 0) }
    }
    file.mark()
    try file.publish(at: path, replacing: true)
    return path
  }

  private func isOfThisHost(_ name: String) throws -> Bool {
    try GivenFile(FilePath("\(directory)/\(name)")).isOfThisHost
  }

  @Test func whatThisHostWroteIsKnownUnderAnyName() throws {
    defer { removeDirectory() }
    _ = try writeMarked("a")
    #expect(try isOfThisHost("a"))
    run("mv a b; ln b c; ln -s c d; echo 6 >>b; touch -d 2001-01-01 b")
    for name in ["b", "c", "d"] { #expect(try isOfThisHost(name), "\(name)") }
    // A file that floe did not write.
    run("echo 12345 >plain")
    #expect(try !isOfThisHost("plain"))
  }

  /// A copy comes with all attributes, and may come from another host.
  @Test func aCopyIsNotThisHosts() throws {
    defer { removeDirectory() }
    _ = try writeMarked("a")
    run("cp --preserve=all --reflink=never a b; rsync -aX a c")
    run("getfattr -n \(attribute) b | grep -q floe; getfattr -n \(attribute) c | grep -q floe")
    for name in ["b", "c"] { #expect(try !isOfThisHost(name), "\(name)") }
  }

  /// The same inode number and attribute, on another file system, or at another moment.
  @Test func aForgedMarkIsNone() throws {
    defer { removeDirectory() }
    _ = try writeMarked("a")
    // The clock of a file system ticks slowly: in another tick.
    run("sleep 0.1; cp a b; getfattr -n \(attribute) --only-values a >value")
    let value = String(decoding: try CompleteFile.read("\(directory)/value"), as: UTF8.self)
    let moment = try #require(value.split(separator: " ").last)
    var status = stat()
    #expect(stat("\(directory)/b", &status) == 0)
    // The inode is no secret, and the moment is only nearly known.
    for forged in ["\(status.st_ino) \(moment)", value, "", "\(status.st_ino)", "\(value) "] {
      run("setfattr -n \(attribute) -v '\(forged)' b")
      #expect(try !isOfThisHost("b"), "\(forged)")
    }
    // With all of it known, the mark is true: so only who is trusted may set it.
    var origin = [UInt8](repeating: 0, count: 0)
    run("stat -c '%i %W' b >now; stat -c %w b | sed 's/.*\\.\\([0-9]*\\) .*/\\1/' >fraction")
    origin = try CompleteFile.read("\(directory)/now").filter { $0 != 10 }
    let nanoseconds = String(
      decoding: try CompleteFile.read("\(directory)/fraction").filter { $0 != 10 }, as: UTF8.self)
    let whole = try #require(UInt32(nanoseconds))
    let known = "\(String(decoding: origin, as: UTF8.self)).\(whole)"
    run("setfattr -n \(attribute) -v '\(known)' b")
    #expect(try isOfThisHost("b"))
    guard geteuid() == 0 else { return }
    // An attribute that any user may set on his own file is nothing to root.
    run("setfattr -x \(attribute) b; setfattr -n user.floe.origin -v '\(known)' b")
    #expect(try !isOfThisHost("b"))
    // Nor is root's, on a file that another owns, or may write.
    run("setfattr -n \(attribute) -v '\(known)' b; chmod 666 b")
    #expect(try !isOfThisHost("b"))
    run("chmod 644 b; chown 65534 b")
    #expect(try !isOfThisHost("b"))
    run("chown 0 b")
    #expect(try isOfThisHost("b"))
  }
}
