import Glibc

/// This host's name (gethostname(2)), for people.
public enum HostName {
  /// Empty when the system does not tell.
  public static var current: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
