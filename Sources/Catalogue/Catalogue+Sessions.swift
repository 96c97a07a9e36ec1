public import FrozenImage
import Glibc
import HostSystem
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
  /// - Returns: whether it is new.
  /// - Throws: `CatalogueError.unknownImage` when the image is thawed, `.beingThawed` to
  ///   one that is new.
  @discardableResult
  public func keep(_ session: SessionRecord, on image: UniqueIdentifier) throws -> Bool {
    let path = path(of: session.id, on: image)
    // One that goes on waits for nobody: it would expire meanwhile.
    if isAlive(path), (try? files.read(SessionRecord.self, from: path)) == session,
      (try? touch(path)) != nil
    {
      return false
    }
    return try files.withStateLock {
      let record = try frozenRecord(of: image)
      guard try !isLocked(image) else { throw CatalogueError.beingThawed(image: record.name) }
      // Also a file that cannot be read is replaced.
      let isNew = (try? files.read(SessionRecord.self, from: path)) != session
      if isNew {
        guard try removeExpiredSessions(of: image) < Self.maximumSessions else {
          throw CatalogueError.tooManySessions(image: record.name)
        }
        try files.makeDirectory(sessionsDirectory(of: image))
        try files.write(session, to: path)
      }
      try touch(path)
      return isNew
    }
  }

  /// Ends a session; no error when there is none.
  public func end(_ session: UniqueIdentifier, on image: UniqueIdentifier) throws(CatalogueError) {
    try files.remove(path(of: session, on: image))
  }

  /// The sessions of an image that are alive.
  ///
  /// - Throws: `CatalogueError` when the directory of the sessions cannot be read.
  public func sessions(of image: UniqueIdentifier) throws(CatalogueError) -> [SessionRecord] {
    try sessions(of: image) { isAlive($0) }
  }

  /// The sessions of an image that nobody kept for longer than they live, and that no
  /// service called over: mounts that may be there all the same, as a session is kept
  /// only through a service.
  ///
  /// - Throws: `CatalogueError` when the directory of the sessions cannot be read.
  public func silentSessions(of image: UniqueIdentifier) throws(CatalogueError) -> [SessionRecord] {
    try sessions(of: image) { !isAlive($0) }
  }

  /// Calls the silent sessions of an image over. For a service that has been running for
  /// longer than a session lives: whoever has the image mounted would have kept it.
  ///
  /// - Returns: those that are over.
  /// - Throws: `CatalogueError` when the sessions cannot be read or removed.
  public func endSilentSessions(of image: UniqueIdentifier) throws -> [SessionRecord] {
    guard try !silentSessions(of: image).isEmpty else { return [] }
    return try files.withStateLock {
      let silent = try silentSessions(of: image)
      _ = try removeExpiredSessions(of: image)
      return silent
    }
  }

  private func sessions(
    of image: UniqueIdentifier, where isWanted: (FilePath) -> Bool
  ) throws(CatalogueError) -> [SessionRecord] {
    var sessions: [SessionRecord] = []
    for (id, path) in try sessionFiles(of: image) where isWanted(path) {
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

  func touch(_ path: FilePath) throws(CatalogueError) {
    let now = now()
    let time = timespec(tv_sec: Int(now.seconds), tv_nsec: Int(now.nanoseconds))
    guard utimensat(AT_FDCWD, path.string, [time, time], 0) == 0 else {
      throw .system(Errno(rawValue: errno), "touch", path, in: directory)
    }
  }
}
