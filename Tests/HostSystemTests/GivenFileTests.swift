import Glibc
import HostSystem
import SystemPackage
import Testing

/// Files that a user gives, and sockets that they name.
@Suite struct GivenFileTests {
  private let directory: String

  init() throws {
    var template = Array("/tmp/floe-given-XXXXXX".utf8CString)
    directory = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  private func removeDirectory() {
    _ = ChildProcess.run("rm", ["rm", "-rf", directory])
  }

  private func makeFile(_ name: String, mode: mode_t) throws -> FilePath {
    let path = "\(directory)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    try #require(descriptor >= 0)
    #expect(write(descriptor, "12345", 5) == 5)
    close(descriptor)
    chmod(path, mode)
    return FilePath(path)
  }

  @Test func whatOthersMayWriteIsNobodys() throws {
    defer { removeDirectory() }
    let own = FileOwner(user: geteuid())
    #expect(try GivenFile(makeFile("own", mode: 0o644)).owner == own)
    #expect(try GivenFile(makeFile("others", mode: 0o646)).owner == .anybody)
    guard geteuid() == 0 else { return }
    let evil = try makeFile("evil", mode: 0o644)
    chown(evil.string, 65534, 0)
    #expect(try GivenFile(evil).owner.user == 65534)
    let group = try makeFile("group", mode: 0o664)
    #expect(try GivenFile(group).owner == own)
    chown(group.string, 0, 65534)
    #expect(try GivenFile(group).owner == .anybody)
    #expect(FileOwner.anybody.isTrusted == false)
  }

  @Test func whatIsNoFileOrTooLargeIsRefusedBeforeAnythingIsWritten() throws {
    defer { removeDirectory() }
    let pipe = "\(directory)/pipe"
    mkfifo(pipe, 0o600)
    #expect(throws: MappedFileError.self) { try GivenFile(FilePath(pipe)) }
    let endless = try makeFile("endless", mode: 0o644)
    #expect(truncate(endless.string, 1 << 43) == 0)
    for limit in [CacheLimit.standard, CacheLimit(bytes: .max)] {
      #expect {
        try GivenFile(endless).copy(in: FilePath(directory), limit: limit)
      } throws: { error in
        "\(error)".contains(limit == .standard ? "--cache-limit" : "are free in \(directory)")
      }
    }
    let small = try GivenFile(makeFile("small", mode: 0o644))
    let copy = try small.copy(in: FilePath(directory), limit: .standard)
    #expect(Array(copy.bytes) == Array("12345".utf8))
  }

  /// Listens on a socket, in this process or in another program.
  private func listen(on path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0 && Glibc.listen(descriptor, 8) == 0)
    return descriptor
  }

  @Test func onlyThisProgramAtASafePlaceIsThisHostsService() throws {
    defer { removeDirectory() }
    let own = "\(directory)/own"
    let descriptor = try listen(on: own)
    defer { close(descriptor) }
    #expect(LocalPeer.isThisProgram(listeningOn: own))
    // Others could put another socket there.
    chmod(directory, 0o777)
    #expect(!LocalPeer.isThisProgram(listeningOn: own))
    chmod(directory, 0o1777)
    #expect(LocalPeer.isThisProgram(listeningOn: own))
    // Another program may lead anywhere, as ssh does.
    let other = "\(directory)/other"
    let script =
      "import socket,sys;s=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen();s.accept();s.accept()"
    let child = try #require(ChildProcess.spawn("python3", ["python3", "-c", script, other]))
    defer {
      kill(child, SIGKILL)
      _ = ChildProcess.wait(for: child)
    }
    while access(other, F_OK) != 0 { usleep(10_000) }
    usleep(100_000)
    #expect(!LocalPeer.isThisProgram(listeningOn: other))
    #expect(!LocalPeer.isThisProgram(listeningOn: "\(directory)/nothing"))
  }
}
