import Glibc

extension SeededGenerator {
  package mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0 ... .max, using: &self) }
  }
}

/// The seed of this run: FLOE_TEST_SEED, or a new one that is printed.
package func testSeed(_ test: String = #function) -> UInt64 {
  let given = getenv("FLOE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
  let seed = given ?? UInt64.random(in: 0 ... .max)
  print("\(test): FLOE_TEST_SEED=\(seed)")
  return seed
}
