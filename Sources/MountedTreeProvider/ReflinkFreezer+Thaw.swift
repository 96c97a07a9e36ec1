import CFileMap
public import DataSets
import FileTrees
import FrozenImage
import Glibc
import SystemPackage

extension ReflinkFreezer {
  /// Removes a copy that floe made. It is no error when it is gone already.
  ///
  /// - Throws: `StackError` when the file system is not mounted there, or another
  ///   directory is at the copy's place.
  public static func thaw(_ copy: ReflinkImage) throws(StackError) {
    try thaw(
      copyAt: copy.path, onFileSystem: copy.fileSystemID,
      mustBe: NodeHandle(inode: copy.inode, generation: copy.generation))
  }

  /// Removes a copy that was planned or made by a freeze that did not finish. It is no
  /// error when there is none.
  ///
  /// - Parameter fileSystem: the UUID of the file system that it was planned on, as text.
  /// - Throws: `StackError` when the path is not one that floe gives copies, or the file
  ///   system is not mounted there.
  public static func thaw(
    copyAt path: String, onFileSystem fileSystem: String
  ) throws(StackError) {
    try thaw(copyAt: path, onFileSystem: fileSystem, mustBe: nil)
  }

  private static func thaw(
    copyAt path: String, onFileSystem fileSystem: String, mustBe node: NodeHandle?
  ) throws(StackError) {
    let place = FilePath(path)
    let directory = place.removingLastComponent()
    guard let name = place.lastComponent?.string, UniqueIdentifier(name) != nil,
      directory.lastComponent?.string == directoryName
    else { throw StackError(.notPermitted, "\(path) is no copy of floe's, so it is left alone") }
    let beside = directory.removingLastComponent()
    // The file system must be there: on another one, absence says nothing.
    guard let mount = try writableMount(beside.string, fileSystem) else {
      throw StackError(
        .notFound, "cannot remove \(path): the XFS \(fileSystem) is not mounted there")
    }
    do {
      try remove(name, mustBe: node, from: mount, path)
      if unlinkat(mount.top.rawValue, directoryName, AT_REMOVEDIR) != 0, errno != ENOTEMPTY,
        errno != EEXIST, errno != ENOENT
      {
        throw Errno(rawValue: errno)
      }
    } catch {
      if let error = error as? Errno { throw StackError(cannot: "remove \(path)", error) }
      throw (error as? StackError) ?? StackError(error)
    }
  }

  private static func writableMount(
    _ path: String, _ fileSystem: String
  ) throws(StackError) -> TreeMount? {
    let directory = try openTop(path)
    guard let found = try? OpenFileSystem(of: directory, path: path), found.kind.isXFS,
      found.superblock.id.description == fileSystem
    else {
      try? directory.close()
      return nil
    }
    return try TreeMount(directory, kind: .xfs, path: path, mayWrite: true)
  }

  /// Removes one copy from floe's directory of a file system. No link is followed, and
  /// nothing that is mounted somewhere in it is reached.
  private static func remove(
    _ name: String, mustBe node: NodeHandle?, from mount: TreeMount, _ path: String
  ) throws {
    let number = openat(
      mount.top.rawValue, directoryName, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard number >= 0 else {
      if errno == ENOENT { return }
      throw Errno(rawValue: errno)
    }
    let directory = FileDescriptor(rawValue: number)
    defer { try? directory.close() }
    let top: NodeHandle
    do {
      top = try NodeHandle(of: name.nameBytes, in: directory)
    } catch {
      if error == .noSuchFileOrDirectory { return }
      throw error
    }
    guard node == nil || node == top else {
      throw StackError(.medium, "\(path) is another directory than the copy that was made there")
    }
    try ReflinkRemoval(on: mount).remove(name.nameBytes, top, in: NodeHandle(of: directory))
  }
}

/// Removes a tree of immutable files and directories.
private struct ReflinkRemoval {
  private struct Step {
    let name: [CChar]
    let node: NodeHandle
    let parent: NodeHandle
    /// Whether everything in it is gone.
    var isEmpty = false
  }

  let mount: TreeMount

  init(on mount: TreeMount) {
    self.mount = mount
  }

  func remove(_ name: [CChar], _ node: NodeHandle, in parent: NodeHandle) throws {
    var steps = [Step(name: name, node: node, parent: parent)]
    while let step = steps.last {
      if step.isEmpty {
        steps.removeLast()
        let parent = try mount.open(step.parent, type: .directory)
        defer { try? parent.close() }
        try unlink(step.name, in: parent, AT_REMOVEDIR)
        continue
      }
      steps[steps.count - 1].isEmpty = true
      let directory = try mount.open(step.node, type: .directory)
      defer { try? directory.close() }
      guard cfilemap_set_immutable(directory.rawValue, 0) == 0 else {
        throw Errno(rawValue: errno)
      }
      // Listed first: what is removed while a directory is read may hide the rest.
      var entries: [DirectoryEntry] = []
      try mount.visitEntries(of: step.node) { (entry, _) in entries.append(entry) }
      for entry in entries {
        let node = try NodeHandle(of: entry.name, in: directory)
        switch try entry.type ?? mount.type(of: node) {
        case .directory:
          steps.append(Step(name: entry.name, node: node, parent: step.node))
        case .regular:
          try makeMutable(node)
          try unlink(entry.name, in: directory, 0)
        default: try unlink(entry.name, in: directory, 0)
        }
      }
    }
  }

  private func makeMutable(_ node: NodeHandle) throws(Errno) {
    let file = try mount.open(node, type: .regular)
    defer { try? file.close() }
    guard cfilemap_set_immutable(file.rawValue, 0) == 0 else { throw Errno(rawValue: errno) }
  }

  private func unlink(
    _ name: [CChar], in directory: FileDescriptor, _ flags: Int32
  ) throws(Errno) {
    guard unlinkat(directory.rawValue, name, flags) == 0 || errno == ENOENT else {
      throw Errno(rawValue: errno)
    }
  }
}
