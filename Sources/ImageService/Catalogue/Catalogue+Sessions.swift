public import FrozenImage
import Glibc
import LinuxIO
import SystemPackage

extension Catalogue {
  private func sessionsDirectory(of image: UniqueIdentifier) -> FilePath {
    directory(of: image).appending("sessions")
  }

  private func path(of session: UniqueIdentifier, on image: UniqueIdentifier) -> FilePath {
    sessionsDirectory(of: image).appending("\(session).json")
  }

  /// Starts a session or says that it is still there. Sessions are files, so they
  /// outlive a restart of the service.
  ///
  /// - Throws: `CatalogueError.unknownImage` when the image is thawed, `.beingThawed` to
  ///   one that is new.
  public func keep(_ session: SessionRecord, on image: UniqueIdentifier) throws {
    let path = path(of: session.id, on: image)
    // One that goes on waits for nobody: it would expire meanwhile.
    if isAlive(path), (try? files.read(SessionRecord.self, from: path)) == session,
      (try? touch(path)) != nil
    {
      return
    }
    try files.withStateLock {
      let record = try frozenRecord(of: image)
      guard try !isLocked(image) else { throw CatalogueError.beingThawed(image: record.name) }
      // Also a file that cannot be read is replaced.
      if (try? files.read(SessionRecord.self, from: path)) != session {
        guard try removeExpiredSessions(of: image) < Self.maximumSessions else {
          throw CatalogueError.tooManySessions(image: record.name)
        }
        try files.makeDirectory(sessionsDirectory(of: image))
        try files.write(session, to: path)
      }
      try touch(path)
    }
  }

  /// Ends a session; no error when there is none.
  public func end(_ session: UniqueIdentifier, on image: UniqueIdentifier) throws(CatalogueError) {
    try files.remove(path(of: session, on: image))
  }

  /// The sessions of an image that are alive.
  public func sessions(of image: UniqueIdentifier) throws(CatalogueError) -> [SessionRecord] {
    var sessions: [SessionRecord] = []
    for (id, path) in try sessionFiles(of: image) where isAlive(path) {
      // A session whose file cannot be read is alive all the same.
      let unknown = SessionRecord(id: id, backupHost: "an unknown host", mountpoint: "?")
      do throws(CatalogueError) {
        guard let session = try files.read(SessionRecord.self, from: path) else { continue }
        sessions.append(session)
      } catch .damaged {
        sessions.append(unknown)
      }
    }
    return sessions
  }

  private func sessionFiles(
    of image: UniqueIdentifier
  ) throws(CatalogueError) -> [(UniqueIdentifier, FilePath)] {
    let directory = sessionsDirectory(of: image)
    var found: [(UniqueIdentifier, FilePath)] = []
    for name in try files.names(in: directory) where name.hasSuffix(".json") {
      guard let id = UniqueIdentifier(String(name.dropLast(5))) else { continue }
      found.append((id, directory.appending(name)))
    }
    return found
  }

  /// Removes the files of sessions that are over.
  ///
  /// - Returns: how many are alive.
  private func removeExpiredSessions(of image: UniqueIdentifier) throws(CatalogueError) -> Int {
    let sessions = try sessionFiles(of: image)
    let expired = sessions.filter { !isAlive($0.1) }
    for (_, path) in expired { try files.remove(path) }
    return sessions.count - expired.count
  }

  /// A time in the future is a clock that was set back: it counts by its distance too,
  /// so that no session lives for ever.
  private func isAlive(_ path: FilePath) -> Bool {
    var status = stat()
    guard stat(path.string, &status) == 0 else { return false }
    let (age, overflow) = now().seconds.subtractingReportingOverflow(Int64(status.st_mtim.tv_sec))
    return !overflow && age.magnitude <= UInt64(Self.sessionLifetime)
  }

  private func touch(_ path: FilePath) throws(CatalogueError) {
    let now = now()
    let time = timespec(tv_sec: Int(now.seconds), tv_nsec: Int(now.nanoseconds))
    guard utimensat(AT_FDCWD, path.string, [time, time], 0) == 0 else {
      throw .system(Errno(rawValue: errno), "touch", path, in: directory)
    }
  }
}
