import Glibc
import HostSystem

/// Writes a line to standard error.
func printError(_ line: String) {
  let bytes = Array((VisibleText.line(line) + "\n").utf8)
  _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// Writes a line to standard output.
func printLine(_ line: String) {
  print(VisibleText.line(line))
}
