/// What a target does with an input: anything but trap, hang or read out of range.
typealias Target = @Sendable ([UInt8]) -> Void

/// Every target by its name, which is its corpus's too.
let targets: [String: Target] = [
  "btrfs": fuzzBtrfs,
  "decoder": fuzzDecoder,
  "ext": fuzzExt,
  "lvm": fuzzLVM,
  "messages": fuzzMessages,
  "partitions": fuzzPartitions,
  "qcow2": fuzzQcow2,
  "representation": fuzzRepresentation,
  "snapshot": fuzzSnapshot,
  "thin": fuzzThin,
  "wire": fuzzWire,
]

/// Ends the run when something is wrong beyond traps and reads out of range.
func require(_ holds: @autoclosure () throws -> Bool, _ rule: String) {
  do {
    if try !holds() { fatalError("it does not hold that \(rule)") }
  } catch {
    fatalError("it does not hold that \(rule): \(error)")
  }
}
