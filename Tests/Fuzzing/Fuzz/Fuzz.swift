import Glibc

/// The target that FLOE_FUZZ names. libFuzzer has the main function, and starts itself
/// anew for some of its work, with the same environment.
private let target: Target = {
  let name = getenv("FLOE_FUZZ").map { String(cString: $0) } ?? ""
  guard let target = targets[name] else {
    print("FLOE_FUZZ has to name one of: \(targets.keys.sorted().joined(separator: " "))")
    exit(2)
  }
  return target
}()

/// libFuzzer's callback (https://llvm.org/docs/LibFuzzer.html).
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target(Array(UnsafeBufferPointer(start: data, count: count)))
  return 0
}
