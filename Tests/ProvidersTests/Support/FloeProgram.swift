import BtrfsProvider
import Glibc
import HostSystem

/// The program beside the test bundle in the build directory, unless `FLOE` names another.
let floeProgram: String = {
  if let named = getenv("FLOE") { return String(cString: named) }
  var path = [CChar](repeating: 0, count: Int(PATH_MAX))
  let count = max(0, readlink("/proc/self/exe", &path, path.count - 1))
  let own = String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return (own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ".") + "/floe"
}()

extension BtrfsFreezer {
  /// As the program makes it.
  init(path: String) throws {
    try self.init(path: path, barrier: WriterBarrier(program: floeProgram))
  }
}
