import FrozenImage

@testable import BlockMappers
@testable import VolumeLayers

/// An input is a qcow2 image; zeros follow it, so that tables may lie anywhere near.
func fuzzQcow2(_ input: [UInt8]) {
  let layer = Layer(InputMedium(input, size: UInt64(input.count) + (1 << 20)))
  guard let image = try? Qcow2.find(on: layer), let map = try? image.map() else { return }
  use(map)
  for case let run in map.runs.prefix(16) where run.content == .encoded {
    let count = Int(min(4096, run.range.upperBound - run.range.lowerBound))
    _ = try? Layer(map).bytes(at: run.range.lowerBound, count: count)
  }
}
